"""TLS: a server's certificate, which can be renewed without a restart, and what a client trusts."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeAlias
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Gauge

from vbatch.chassis.logs import get_logger
from vbatch.chassis.public_settings import is_loopback
from vbatch.chassis.settings import BadSettings

ContextFactory: TypeAlias = Callable[[object, object], ssl.SSLContext]

LOOK_SECONDS = 5.0
"""The time between two checks of the files of a certificate."""


class ServerCertificate:
    """A certificate chain and its key in PEM. New connections use what the files held at the last successful load."""

    def __init__(self, certificate_file: Path, key_file: Path) -> None:
        self._files = (certificate_file, key_file)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._stamp = self._stamp_now()
        self.context.load_cert_chain(*self._files)
        self.ends_at = _end_of(certificate_file)

    async def run(self) -> None:
        """Load the files again whenever they change, without end. A bad pair is logged, and the pair in use stays."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            # Load into a separate context first: a key that does not fit would leave the one in use with half a pair.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self._files)
            self.context.load_cert_chain(*self._files)
            self.ends_at = _end_of(self._files[0])
        except OSError as error:  # ssl.SSLError is one
            get_logger().error("certificate_not_loaded", path=str(self._files[0]), reason=str(error))
        else:
            get_logger().info("certificate_loaded", path=str(self._files[0]))

    def _stamp_now(self) -> tuple[tuple[int, int], ...]:
        """Return a value that changes with the files; empty while a file is missing, for example in the middle of a
        renewal."""
        try:
            return tuple((found.st_mtime_ns, found.st_ino) for found in map(Path.stat, self._files))
        except OSError:
            return ()


def _end_of(certificate_file: Path) -> float:
    """Return when the first certificate of the chain expires, in Unix seconds."""
    from cryptography.x509 import load_pem_x509_certificate  # a service without TLS starts without this import

    return load_pem_x509_certificate(certificate_file.read_bytes()).not_valid_after_utc.timestamp()


class Ending(Protocol):
    """Something that ends at a time, in Unix seconds."""

    @property
    def ends_at(self) -> float: ...


def report_expiry(certificate: Ending, registry: CollectorRegistry) -> None:
    text = "When the certificate that is served ends, in Unix time."
    expiry = Gauge("vbatch_certificate_expiry_timestamp_seconds", text, registry=registry)
    expiry.set_function(lambda: certificate.ends_at)


def server_certificate(certificate_file: Path | None, key_file: Path | None) -> ServerCertificate | None:
    """Return the certificate of these settings, or None without any. Raises BadSettings."""
    if certificate_file is None or key_file is None:
        return None
    try:
        return ServerCertificate(certificate_file, key_file)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadSettings(f"{certificate_file} and {key_file} are no certificate and its key: {reason}") from error


def client_context(url: str, ca_file: Path | None = None) -> ssl.SSLContext | bool:
    """Return what a client of the URL trusts: the authorities of this machine and those of the file. For a URL without
    TLS, return True, which aiohttp accepts as well.

    The certificate of a server on loopback is not checked: it names the machine as others see it.
    """
    if not url.startswith("https://"):
        return True  # loading the authorities takes a while
    context = ssl.create_default_context()
    if is_loopback(urlsplit(url).hostname or ""):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def context_factory(certificate: ServerCertificate | None) -> ContextFactory | None:
    """Return the function that gives uvicorn its context, or None to serve plain HTTP."""
    return None if certificate is None else lambda _config, _default: certificate.context


@asynccontextmanager
async def renewing(certificate: ServerCertificate | None, registry: CollectorRegistry) -> AsyncIterator[None]:
    """Look for a renewed certificate while the block runs, and export when the certificate in use expires."""
    if certificate is not None:
        report_expiry(certificate, registry)
    task = asyncio.ensure_future(certificate.run()) if certificate is not None else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
