"""A server's certificate is replaced while it serves, and a bad replacement changes nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from vbatch.chassis.public_settings import PublicSettings
from vbatch.chassis.settings import BadSettings
from vbatch.chassis.tls import ServerCertificate, client_context, report_expiry, server_certificate

AUTHORITY = trustme.CA()


@dataclass(frozen=True)
class Files:
    certificate: Path
    key: Path

    def issue(self, name: str, not_after: datetime | None = None) -> None:
        issued = AUTHORITY.issue_cert(name, not_after=not_after)
        issued.private_key_pem.write_to_path(self.key)
        self.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    files = Files(tmp_path / "certificate.pem", tmp_path / "key.pem")
    files.issue("first.example")
    return files


@asynccontextmanager
async def served(certificate: ServerCertificate) -> AsyncIterator[int]:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=certificate.context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def greets_as(port: int, name: str) -> bool:
    trust = ssl.create_default_context()
    AUTHORITY.configure_trust(trust)
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=name)
    except ssl.SSLCertVerificationError:
        return False
    writer.close()
    return True


def test_the_end_of_the_certificate_that_is_served_is_told(files: Files):
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    files.issue("first.example", not_after=soon)
    certificate, registry = ServerCertificate(files.certificate, files.key), CollectorRegistry()
    report_expiry(certificate, registry)
    assert registry.get_sample_value("vbatch_certificate_expiry_timestamp_seconds") == soon.timestamp()

    files.issue("first.example", not_after=soon + timedelta(days=90))
    certificate.look()
    told = registry.get_sample_value("vbatch_certificate_expiry_timestamp_seconds")
    assert told == (soon + timedelta(days=90)).timestamp()


async def test_new_connections_get_the_renewed_certificate(files: Files):
    certificate = ServerCertificate(files.certificate, files.key)
    async with served(certificate) as port:
        assert await greets_as(port, "first.example")
        files.issue("second.example")
        certificate.look()
        assert await greets_as(port, "second.example")
        assert not await greets_as(port, "first.example")


async def test_a_key_that_does_not_fit_leaves_the_certificate_before(files: Files):
    certificate = ServerCertificate(files.certificate, files.key)
    AUTHORITY.issue_cert("other.example").private_key_pem.write_to_path(files.key)
    async with served(certificate) as port:
        certificate.look()
        assert await greets_as(port, "first.example")
        files.issue("third.example")
        certificate.look()
        assert await greets_as(port, "third.example")


def test_a_file_that_is_no_certificate_is_named_at_the_start(files: Files):
    files.certificate.write_text("no certificate")
    with pytest.raises(BadSettings, match=r"certificate\.pem"):
        server_certificate(files.certificate, files.key)


def test_a_certificate_without_its_key_is_refused(files: Files):
    with pytest.raises(ValidationError, match="come together"):
        PublicSettings(tls_certificate_file=files.certificate)


def test_only_a_server_on_this_machine_need_not_prove_its_name():
    here, elsewhere = client_context("https://localhost:4080"), client_context("https://batch.example")
    assert isinstance(here, ssl.SSLContext) and not here.check_hostname
    assert isinstance(elsewhere, ssl.SSLContext) and elsewhere.check_hostname
    assert client_context("http://batch.example") is True
