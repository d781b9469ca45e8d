import asyncio
import socket
import time

import aiohttp
import pytest
from prometheus_client import Counter

from vbatch.chassis.health import NotReady, PortTaken, Readiness, serve_health
from vbatch.chassis.metrics import loop_lag, service_registry


async def declines() -> None:
    raise NotReady("replaying")


async def get(port: int, path: str, **headers: str) -> tuple[int, str, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}", headers=headers) as answer,
    ):
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_alive_but_not_ready():
    readiness = Readiness()
    readiness.add("log", declines)
    async with serve_health(readiness, service_registry("pump")) as port:
        assert (await get(port, "/health"))[0] == 200
        status, _type, body = await get(port, "/ready")
    assert status == 503
    assert '"ok": false, "detail": "replaying"' in body


async def test_metrics_speak_the_language_the_scraper_asks_for():
    registry = service_registry("pump")
    strokes = Counter("strokes", "Strokes.", registry=registry)
    strokes.inc(1, exemplar={"trace_id": "abc"})
    async with serve_health(Readiness(), registry) as port:
        _status, plain, _body = await get(port, "/metrics")
        _status, rich, body = await get(port, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert plain.startswith("text/plain") and rich.startswith("application/openmetrics-text")
    assert 'trace_id="abc"' in body and "process_resident_memory_bytes" in body
    assert 'vbatch_build_info{service="pump"' in body


async def test_two_services_in_one_process_keep_their_metrics_apart():
    first, second = service_registry("one"), service_registry("two")
    Counter("strokes", "Strokes.", registry=first)
    Counter("strokes", "Strokes.", registry=second)


async def test_a_blocked_loop_shows_in_its_lag():
    registry = service_registry("pump")
    async with loop_lag(registry, sample_seconds=0.01), asyncio.timeout(20):
        await asyncio.sleep(0)  # the sampler sets its timer
        time.sleep(0.06)  # noqa: ASYNC251  # which comes due while the loop is blocked
        while not registry.get_sample_value("vbatch_loop_lag_seconds_count"):  # noqa: ASYNC110  # it cannot say so
            await asyncio.sleep(0)
    assert (registry.get_sample_value("vbatch_loop_lag_seconds_sum") or 0) >= 0.04


async def test_a_taken_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port}"):
            async with serve_health(Readiness(), service_registry("pump"), port=port):
                raise AssertionError("the port belongs to another")
