"""A real proxy, configured as docs/reverse-proxy.md says, in front of a real stack."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from tests.support.paths import ROOT
from tests.support.postgres import free_port
from tests.support.stack import RunningStack, running_stack, wait_until

PAGE = (ROOT / "docs/reverse-proxy.md").read_text()
HOST, UPSTREAM = "batches.example.org", "127.0.0.1:4080"
NAME = "localhost"
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 20.0
FILE_BYTES_MAX = 2 << 30
NGINX_HEAD = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
"""


@dataclass(frozen=True)
class Proxy:
    """`trust` accepts its certificate."""

    port: int
    trust: ssl.SSLContext
    folder: Path

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}"


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    with running_stack(environment={"VBATCH_GATEWAY_BATCH_FILE_BYTES_MAX": str(FILE_BYTES_MAX)}) as running:
        yield running


@pytest.fixture(scope="session", params=["caddy", "nginx"])
def proxy(request: pytest.FixtureRequest, stack: RunningStack, tmp_path_factory: pytest.TempPathFactory):
    """Of the two, those that are installed."""
    program = found(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    port, trust = free_port(), issued(folder)
    upstream = f"127.0.0.1:{stack.settings.gateway_port}"
    argv = configured(request.param, program, folder, port, upstream)
    with (folder / "output.log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=folder, env=environment(folder), stdout=log, stderr=log)
    try:
        made = Proxy(port, trust, folder)
        wait_until(lambda: is_up(made), f"{request.param} answers", START_SECONDS_MAX)
        yield made
    finally:
        process.terminate()
        process.wait(timeout=STOP_SECONDS_MAX)


def found(name: str) -> str:
    beside = Path(sys.executable).parent / name
    program = str(beside) if beside.exists() else shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip(f"{name} is not installed")
    return program


def issued(folder: Path) -> ssl.SSLContext:
    authority = trustme.CA()
    certificate = authority.issue_cert(NAME)
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "certificate.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return trust


def block(language: str) -> str:
    """The one block of the page in this language."""
    [text] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert HOST in text and UPSTREAM in text
    return str(text)


def configured(name: str, program: str, folder: Path, port: int, upstream: str) -> list[str]:
    """Write the page's configuration with these names and addresses; return the command that runs it."""
    file = folder / "configuration"
    if name == "caddy":
        text = block("caddyfile").replace(UPSTREAM, upstream)
        given = f"https://{NAME}:{port} {{\n\ttls {folder}/certificate.pem {folder}/key.pem"
        file.write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text.replace(f"{HOST} {{", given, 1))
        return [program, "run", "--config", str(file), "--adapter", "caddyfile"]
    text = block("nginx").replace(UPSTREAM, upstream).replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    text = text.replace(f"/etc/ssl/{HOST}.pem", f"{folder}/certificate.pem")
    text = text.replace(f"/etc/ssl/{HOST}.key", f"{folder}/key.pem").replace(HOST, NAME)
    file.write_text(NGINX_HEAD.format(folder=folder) + text + "}\n")
    return [program, "-c", str(file), "-e", str(folder / "error.log")]


def environment(folder: Path) -> dict[str, str]:
    """Caddy keeps its state below the home."""
    return {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(folder)}


def is_up(proxy: Proxy) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=2):
            return True
    except OSError:
        return False
