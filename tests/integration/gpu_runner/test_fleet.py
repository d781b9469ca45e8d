"""A fleet of real servers on loopback: simulated engines that are killed, frozen, refuse, come back and leave."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import trustme

from tests.integration.gpu_runner.conftest import CHAT, LIMITS
from tests.support.fleet import recording, servers
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import Discovery, EngineKind, ModelDefinition, ServerAccess
from vbatch.gpu_runner.adapters.engine.fleet import client as fleet_client
from vbatch.gpu_runner.adapters.engine.fleet.client import FleetClient
from vbatch.gpu_runner.adapters.engine.fleet.targets import Targets
from vbatch.gpu_runner.adapters.engine.http import client as http_client
from vbatch.gpu_runner.core.fleet.fleet import Fleet
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.ports import Answer, ConnectionLost, EngineFailed, NotConnected

pytestmark = pytest.mark.timeout(120)

LATENCY = "--latency-seconds"
WAIT_SECONDS_MAX = 20.0
STALL_SECONDS_MAX = 3.0
"""On a busy machine; `bench:fleet` measures a fraction of a second."""


def definition(urls: Sequence[str], **more: object) -> ModelDefinition:
    return ModelDefinition(id=ModelId("fleet"), engine=EngineKind.HTTP, base_urls=tuple(urls), **more)  # type: ignore[arg-type]  # any field


@asynccontextmanager
async def fleet_of(targets: Targets, start: int = 8, limits: Limits = LIMITS) -> AsyncIterator[FleetClient]:
    client = FleetClient(targets, Fleet(start), limits)
    await client.start()
    try:
        await until(client.is_healthy)
        yield client
    finally:
        await client.close()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not (await found if asyncio.iscoroutine(found := holds()) else found):  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.05)


def body(number: int) -> bytes:
    return b'{"model":"fleet","messages":[{"role":"user","content":"number %d"}]}' % number


async def ask_all(client: FleetClient, count: int, tries: int = 4) -> list[Answer]:
    """Ask for each once, and again where a connection was lost, as the runner does."""

    async def ask(number: int) -> Answer:
        for _ in range(tries):
            try:
                return await client.ask(CHAT, body(number), group=number // 10 + 1)
            except NotConnected:
                raise
            except ConnectionLost:
                await asyncio.sleep(0.05)
        raise AssertionError(f"request {number} lost every connection")

    return await asyncio.gather(*(ask(number) for number in range(count)))


def assert_all_answered(answers: Sequence[Answer]) -> None:
    for number, answer in enumerate(answers):
        assert answer.status_code == 200 and f"number {number}".encode() in answer.body


async def test_all_replicas_work_and_each_group_stays_on_one(tmp_path: Path):
    with servers(tmp_path, 3, LATENCY, "0.02") as made:
        async with fleet_of(Targets(definition([server.start().url for server in made])), start=32) as client:
            assert_all_answered(await ask_all(client, 300))
        counts = [sum(server.answered().values()) for server in made]
        assert sum(counts) == 300 and min(counts) >= 40, counts


async def test_the_requests_of_a_killed_replica_run_on_the_others_and_it_works_again_when_it_is_back(tmp_path: Path):
    with servers(tmp_path, 3, LATENCY, "0.05") as made:
        async with fleet_of(Targets(definition([server.start().url for server in made]))) as client:
            asking = asyncio.ensure_future(ask_all(client, 600))
            await until(lambda: made[0].answered().total() >= 10)
            made[0].kill()
            killed_at, before = time.time(), made[0].answered().total()
            await until(lambda: sum(each.breaker.state == "open" for each in client.replicas) == 1)
            made[0].start()
            assert_all_answered(await asking)
            assert made[0].answered().total() > before
            times = sorted(at for server in made for at in server.times("answered") if at >= killed_at - 0.1)
            assert max(later - sooner for sooner, later in pairwise(times)) < STALL_SECONDS_MAX


async def test_requests_of_a_killed_replica_run_on_another_without_being_asked_again(tmp_path: Path):
    with servers(tmp_path, 2, LATENCY, "0.3") as made:
        async with fleet_of(Targets(definition([server.start().url for server in made]))) as client:
            asking = asyncio.ensure_future(ask_all(client, 16, tries=1))
            await until(lambda: all(len(server.times("started")) == 8 for server in made))
            made[0].kill()
            killed_at = time.time()
            assert_all_answered(await asking)
        moved = [at for at in made[1].times("started") if at > killed_at]
        assert len(moved) == 8 and max(moved) - killed_at < STALL_SECONDS_MAX


async def test_a_request_that_kills_every_replica_counts_all_of_them(tmp_path: Path):
    deadly = b'{"model":"fleet","messages":[{"role":"user","content":"die"}],"simulate":{"crash":true}}'
    with servers(tmp_path, LIMITS.reconnects_max + 2) as made:
        async with fleet_of(Targets(definition([server.start().url for server in made]))) as client:
            with pytest.raises(ConnectionLost) as raised:
                await client.ask(CHAT, deadly)
        assert raised.value.tries == LIMITS.reconnects_max + 1
        assert sum(server.is_healthy() for server in made) == 1


async def test_a_frozen_replica_is_lost_after_a_time_and_its_requests_run_on_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fleet_client, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(fleet_client, "SILENCE_SECONDS_MAX", 1.0)
    with servers(tmp_path, 2, LATENCY, "0.05") as made:
        async with fleet_of(Targets(definition([server.start().url for server in made]))) as client:
            asking = asyncio.ensure_future(ask_all(client, 200))
            await until(lambda: made[0].answered().total() >= 5)
            made[0].signal(signal.SIGSTOP)
            try:
                assert_all_answered(await asking)
            finally:
                made[0].signal(signal.SIGCONT)


class BusyServer:
    """Computes until `done`, and answers probes with `page` only while it has no request: as llama.cpp's server, whose
    probes wait behind requests that wait for a thread."""

    def __init__(self, page: bytes = b"{}") -> None:
        self.page = page
        self.requests, self.probes_refused = 0, 0
        self.done, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()

    async def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET"):
                self.probes_refused += not self._idle.is_set()
                await self._idle.wait()
            else:
                await self._compute(reader)
            head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            writer.write(head % len(self.page) + self.page)
            await writer.drain()
        writer.close()

    async def _compute(self, reader: asyncio.StreamReader) -> None:
        self.requests += 1
        self._idle.clear()
        await reader.readexactly(len(body(0)))
        await self.done.wait()
        self._idle.set()


@asynccontextmanager
async def busy_fleet(server: BusyServer, limits: Limits) -> AsyncIterator[FleetClient]:
    listener = await asyncio.start_server(server.welcome, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        async with fleet_of(Targets(definition([f"http://127.0.0.1:{port}/v1"])), limits=limits) as client:
            yield client
    finally:
        listener.close()


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_client, "SILENT_SECONDS", 0.05)
    monkeypatch.setattr(fleet_client, "SILENCE_SECONDS_MAX", 0.1)
    monkeypatch.setattr(http_client, "PROBE_SECONDS_MAX", 0.1)


@pytest.mark.usefixtures("impatience")
async def test_the_only_replica_keeps_its_requests_while_it_takes_no_probe():
    server = BusyServer()
    async with busy_fleet(server, LIMITS) as client:
        asking = asyncio.ensure_future(client.ask(CHAT, body(0)))
        await until(lambda: server.probes_refused >= 3)  # for longer than one of several replicas may be silent
        server.done.set()
        assert ((await asking).status_code, server.requests) == (200, 1)


@pytest.mark.usefixtures("impatience")
async def test_a_replica_that_does_not_answer_has_made_no_progress():
    server = BusyServer(page=b"llamacpp:n_decode_total 104\n")
    async with busy_fleet(server, LIMITS) as client:
        assert await client.progress() == "llamacpp:n_decode_total 104"
        asking = asyncio.ensure_future(client.ask(CHAT, body(0)))
        await until(lambda: server.requests == 1)
        assert await client.progress() == "llamacpp:n_decode_total 104"
        server.done.set()
        assert (await asking).status_code == 200


@pytest.mark.usefixtures("impatience")
async def test_the_only_replica_is_lost_once_it_is_silent_for_longer_than_an_engine_may_be():
    server = BusyServer()
    async with busy_fleet(server, replace(LIMITS, silence_seconds_max=0.5)) as client:
        with pytest.raises(ConnectionLost):
            await client.ask(CHAT, body(0))
        server.done.set()


async def test_a_fleet_grows_from_one_to_four_and_shrinks_to_two_as_its_name_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fleet_client, "RESOLVE_EVERY_SECONDS", 0.1)
    port_of = {}
    with servers(tmp_path, 4, LATENCY, "0.02") as made:
        for number, server in enumerate(made):
            server.port, server.host = made[0].port, f"127.0.0.{number + 1}"
            server.start()
            port_of[server.host] = server
        present = ["127.0.0.1"]

        async def resolve(host: str, port: int) -> list[str]:
            assert (host, port) == ("fleet.example", made[0].port)
            return list(present)

        named = definition([f"http://fleet.example:{made[0].port}/v1"], discovery=Discovery.DNS)
        async with fleet_of(Targets(named, resolve=resolve)) as client:
            asking = asyncio.ensure_future(ask_all(client, 3_000))
            await until(lambda: made[0].answered().total() >= 50)
            present[:] = list(port_of)
            await until(lambda: all(server.answered().total() >= 50 for server in made))
            present[:] = present[:2]
            await until(lambda: len(client.replicas) == 2)
            before = made[3].answered().total()
            assert_all_answered(await asking)
            assert made[3].answered().total() == before
        counts = sum((server.answered() for server in made), start=made[0].answered() - made[0].answered())
        assert counts.total() == 3_000 and max(counts.values()) == 1


async def test_a_name_that_is_not_found_for_a_while_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fleet_client, "RESOLVE_EVERY_SECONDS", 0.05)
    asked = 0

    async def resolve(_host: str, _port: int) -> list[str]:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise OSError("no such name")
        return ["127.0.0.1"]

    with servers(tmp_path, 1) as (server,):
        named = definition([server.start().url.replace("127.0.0.1", "fleet.example")], discovery=Discovery.DNS)
        async with fleet_of(Targets(named, resolve=resolve)) as client:
            await until(lambda: asked > 2)
            assert_all_answered(await ask_all(client, 5))


async def test_a_replica_that_refuses_beyond_its_capacity_gets_as_much_as_it_takes(tmp_path: Path):
    with servers(tmp_path, 1, LATENCY, "0.05", "--max-num-seqs", "4", "--waiting-max", "0") as (server,):
        async with fleet_of(Targets(definition([server.start().url])), start=32) as client:
            assert_all_answered(await ask_all(client, 100))
            (replica,) = client.replicas
            assert replica.refused_count > 0 and replica.concurrency.size <= 6


async def test_a_simulated_engine_runs_more_at_once_after_its_change(tmp_path: Path):
    resize = ("--resize-to", "4", "--resize-after-seconds", "0.1")
    with servers(tmp_path, 1, LATENCY, "1.0", "--max-num-seqs", "1", *resize) as (server,):
        async with fleet_of(Targets(definition([server.start().url]))) as client:
            assert_all_answered(await ask_all(client, 4))
        first, *later = server.times("started")
        assert later[0] - first > 0.09  # the time to the change counts from just before the first start is noted
        assert max(later) < min(server.times("answered"))


async def test_nobody_there_is_told_at_once(tmp_path: Path):
    with servers(tmp_path, 1) as (server,):
        async with fleet_of(Targets(definition([server.start().url]))) as client:
            server.kill()
            with pytest.raises(NotConnected):
                await client.ask(CHAT, body(1))
            assert not await client.is_healthy()


async def test_headers_and_keys_come_from_the_environment_for_each_url():
    async with recording() as (port, heads), recording() as (other_port, other_heads):
        first, second = (f"http://127.0.0.1:{each}/v1" for each in (port, other_port))
        made = definition(
            [first, second],
            access=ServerAccess(headers={"X-Team": "100% batch"}, api_key_variable="FLEET_KEY"),
            access_by_url={second: ServerAccess(header_variables={"X-Secret": "FLEET_SECRET"})},
        )
        async with fleet_of(Targets(made, {"FLEET_KEY": "k-1", "FLEET_SECRET": "s-2"}), start=1) as client:
            await until(lambda: sum(replica.size > 0 for replica in client.replicas) == 2)
            await asyncio.gather(*(client.ask(CHAT, body(number)) for number in range(4)))
    posts, others = ([head for head in seen if head.startswith(b"POST")] for seen in (heads, other_heads))
    assert posts and all(b"X-Team: 100% batch\r\nAuthorization: Bearer k-1\r\n" in head for head in posts)
    assert others and all(b"X-Secret: s-2\r\n" in head and b"Bearer" not in head for head in others)


async def test_a_variable_that_is_not_set_is_named():
    made = definition(["http://127.0.0.1:1/v1"], access=ServerAccess(api_key_variable="FLEET_KEY"))
    with pytest.raises(EngineFailed, match="FLEET_KEY"):
        Targets(made, {})


async def test_a_certificate_of_an_own_authority_is_trusted_where_it_is_named(tmp_path: Path):
    authority, ca_file = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("fleet.example").configure_cert(tls)

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    async with recording(tls) as (port, heads):
        url = f"https://fleet.example:{port}/llm/v1"
        trusting = definition([url], discovery=Discovery.DNS, access=ServerAccess(ca_file=str(ca_file)))
        async with fleet_of(Targets(trusting, resolve=resolve)) as client:
            assert (await client.ask(CHAT, body(1))).status_code == 200
        assert any(
            head.startswith(f"POST /llm{CHAT} HTTP/1.1\r\nHost: fleet.example:{port}\r\n".encode()) for head in heads
        )
        doubting = FleetClient(Targets(definition([url], discovery=Discovery.DNS), resolve=resolve), Fleet(8), LIMITS)
        await doubting.start()
        assert not await doubting.is_healthy()
        await doubting.close()


async def test_a_request_that_is_cancelled_frees_its_place(tmp_path: Path):
    with servers(tmp_path, 1, LATENCY, "5") as (server,):
        async with fleet_of(Targets(definition([server.start().url])), start=1) as client:
            first = asyncio.ensure_future(client.ask(CHAT, body(1)))
            second = asyncio.ensure_future(client.ask(CHAT, body(2)))
            await until(lambda: len(server.times("started")) == 1)
            first.cancel()
            await until(lambda: len(server.times("started")) == 2)
            second.cancel()
            await asyncio.gather(first, second, return_exceptions=True)
            assert [replica.inside for replica in client.replicas] == [0]
