"""What passes a proxy that docs/reverse-proxy.md configured: live events, large files, the client's address."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote

import httpx2
import pytest
from openai import OpenAI

from tests.e2e.asking import chat_line, jsonl, submit, wait_for_end
from tests.proxy.conftest import NAME, Proxy
from tests.support.stack import SLOW_CHAT, RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

GIGABYTE = 1_000_000_000
PART_BYTES = 1 << 20
ANSWER_SECONDS_MAX = 300.0
FIRST_EVENTS = 3
FORGED = "203.0.113.7"
ELSEWHERE = "127.0.0.5"
"""All of 127.0.0.0/8 is this machine, so a client may have any of it as its own address."""
BOUNDARY = "f2c1"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="large.jsonl"\r\n'
    "Content-Type: application/jsonl\r\n\r\n"
).encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[OpenAI]:
    with (
        httpx2.Client(verify=proxy.trust) as http,
        OpenAI(base_url=f"{proxy.url}/v1", api_key="none", http_client=http) as made,
    ):
        yield made


@contextmanager
def connection(proxy: Proxy, source: str = "127.0.0.1") -> Iterator[http.client.HTTPSConnection]:
    made = http.client.HTTPSConnection(
        NAME, proxy.port, timeout=ANSWER_SECONDS_MAX, context=proxy.trust, source_address=(source, 0)
    )
    try:
        yield made
    finally:
        made.close()


def test_a_batch_runs_through_it(client: OpenAI):
    batch = wait_for_end(client, submit(client, jsonl(chat_line(number) for number in range(50))).id)
    assert batch.status == "completed"
    assert batch.output_file_id and len(client.files.content(batch.output_file_id).text.splitlines()) == 50


def test_events_arrive_while_the_batch_runs(proxy: Proxy, client: OpenAI):
    batch = submit(client, jsonl(chat_line(number, SLOW_CHAT) for number in range(20_000)))
    with connection(proxy) as asked:
        asked.request("GET", f"/v1/batches/{quote(batch.id)}/events")
        answer = asked.getresponse()
        names = [name for name, _ in zip(event_names(answer), range(FIRST_EVENTS), strict=False)]
    status = client.batches.retrieve(batch.id).status
    client.batches.cancel(batch.id)
    wait_for_end(client, batch.id)
    assert len(names) == FIRST_EVENTS
    assert status in ("validating", "in_progress"), "a proxy that keeps answers back shows events after the end"


def event_names(answer: http.client.HTTPResponse) -> Iterator[str]:
    while line := answer.readline():
        if line.startswith(b"event:"):
            yield line.decode().strip()


def test_a_file_of_a_gigabyte_passes(proxy: Proxy, stack: RunningStack):
    line = json.dumps(chat_line(1)).encode() + b"\n"
    part = line * (PART_BYTES // len(line))
    count = GIGABYTE // len(part) + 1
    size = count * len(part)

    def body() -> Iterator[bytes]:
        yield HEAD
        yield from (part for _ in range(count))
        yield TAIL

    headers = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(len(HEAD) + size + len(TAIL)),
    }
    with connection(proxy) as asked:
        asked.request("POST", "/v1/files", body(), headers)
        answer = asked.getresponse()
        stored = json.load(answer)
    assert answer.status == 200, stored
    assert stored["bytes"] == size >= GIGABYTE
    with stack.client() as direct:
        assert direct.files.delete(stored["id"]).deleted


def test_the_server_learns_the_address_of_the_client_and_not_the_one_it_claims(proxy: Proxy, stack: RunningStack):
    with connection(proxy, source=ELSEWHERE) as asked:
        asked.request("POST", "/v1/files", *small_file({"X-Forwarded-For": FORGED}))
        stored = json.load(asked.getresponse())
    assert address_of_upload(stack, stored["id"]) == ELSEWHERE


def small_file(more: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **more}
    return HEAD + jsonl([chat_line(1)]) + TAIL, headers


def address_of_upload(stack: RunningStack, file_id: str) -> str:
    """As the audit tells it."""
    told = stack.vbatch("audit", "--object", file_id, "--json")
    assert told.returncode == 0, told.stderr
    return str(json.loads(told.stdout.splitlines()[0])["address"])


def test_the_certificate_is_the_proxys(proxy: Proxy):
    with connection(proxy) as asked:
        asked.request("GET", "/health")
        assert asked.getresponse().status == 200
        assert isinstance(asked.sock, ssl.SSLSocket)
