"""The whole stack over HTTPS: the official client, the command and the console, and a certificate that is renewed."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import trustme
from openai import OpenAI

from tests.e2e.asking import chat_line, jsonl
from tests.support.stack import RunningStack, running_stack, wait_until
from vbatch.chassis.tls import LOOK_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

AUTHORITY = trustme.CA()


def issue(folder: Path) -> ssl.SSLContext:
    """Write a fresh certificate of this machine; return what trusts its authority."""
    issued = AUTHORITY.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "certificate.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    trust = ssl.create_default_context()
    AUTHORITY.configure_trust(trust)
    return trust


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    issue(tmp_path)
    return tmp_path


@pytest.fixture
def stack_with_tls(folder: Path) -> Iterator[RunningStack]:
    files = {"VBATCH_TLS_CERTIFICATE_FILE": folder / "certificate.pem", "VBATCH_TLS_KEY_FILE": folder / "key.pem"}
    with running_stack(environment={name: str(path) for name, path in files.items()}) as stack:
        yield stack


def test_a_batch_runs_over_https_and_a_renewed_certificate_is_served(stack_with_tls: RunningStack, folder: Path):
    settings, trust = stack_with_tls.settings, issue(folder)
    with (
        httpx2.Client(verify=trust) as http,
        OpenAI(base_url=f"{settings.gateway_url}/v1", api_key="none", http_client=http) as client,
    ):
        uploaded = client.files.create(file=jsonl([chat_line(number) for number in range(3)]), purpose="batch")
        batch = client.batches.create(
            input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        wait_until(lambda: client.batches.retrieve(batch.id).status == "completed", "the batch ends", 60.0)

    listed = stack_with_tls.vbatch("batches")
    assert listed.returncode == 0 and batch.id in listed.stdout, listed.stderr
    with urllib.request.urlopen(settings.console_url, context=trust) as page:
        assert batch.id in page.read().decode()

    first = ssl.get_server_certificate(("localhost", settings.gateway_port))
    issue(folder)
    wait_until(
        lambda: ssl.get_server_certificate(("localhost", settings.gateway_port)) != first,
        "the renewed certificate is served",
        4 * LOOK_SECONDS,
    )


def test_plain_http_and_a_stranger_without_trust_get_no_answer(stack_with_tls: RunningStack):
    port = stack_with_tls.settings.gateway_port
    with pytest.raises(httpx2.RemoteProtocolError):
        httpx2.get(f"http://127.0.0.1:{port}/health")
    with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx2.get(f"https://localhost:{port}/health")
    assert json.loads(stack_with_tls.vbatch("status", "--json").stdout)
