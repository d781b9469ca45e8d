"""The world fails: answers stay in the envelope, and come back by themselves."""

import asyncio
import os
import signal

import asyncpg
import openai
import pytest

from tests.integration.gateway.stage import CHAT, LINE, Stage, gateway_running, stage_set
from tests.integration.results.stage import Place, eventually, results_running
from tests.support.nats import NatsServer
from tests.support.postgres import running_postgres
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration


async def test_a_lost_read_model_is_answered_503_and_makes_the_gateway_unready(
    nats: NatsServer, journal: Journal, tmp_path_factory: pytest.TempPathFactory
):
    folder = tmp_path_factory.mktemp("own")
    with running_postgres(folder) as server:
        place = Place(folder / "home", nats.url, server.url())
        async with stage_set(place, journal) as stage:
            assert (await stage.ask("GET", "/ready")).status == 200
            _kill(server.pid)
            answer = await stage.ask("GET", "/v1/batches")
            ready = await stage.ask("GET", "/ready")

    assert answer.status == 503 and answer.error["type"] == "server_error"
    assert ready.status == 503 and not ready.json["checks"]["postgres"]["ok"]


async def test_what_was_acknowledged_is_never_not_found_however_late_results_is(place: Place, journal: Journal):
    async with results_running(place, journal):
        await place.has_projected(await journal.log.last_sequence())
    async with gateway_running(place, journal, own_write_seconds_max=0.2) as stage:
        file = await stage.client.files.create(file=LINE, purpose="batch")
        batch = await stage.client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        asked = [await stage.ask("GET", path) for path in (f"/v1/files/{file.id}", f"/v1/batches/{batch.id}")]
        async with results_running(place, journal):
            await place.has_projected(await journal.log.last_sequence())
            found = await stage.client.batches.retrieve(batch.id)

    assert [answer.status for answer in asked] == [503, 503]
    assert found.id == batch.id


async def test_a_lost_log_makes_the_gateway_unready(stage: Stage, nats: NatsServer):
    nats.kill()

    async def is_unready() -> bool:
        return (await stage.ask("GET", "/ready")).status == 503

    await eventually(is_unready)


async def test_a_lost_log_is_answered_503_after_a_while(place: Place, journal: Journal, nats: NatsServer):
    async with stage_set(place, journal, log_seconds_max=0.5) as stage:
        nats.kill()
        with pytest.raises(openai.InternalServerError) as refused:
            await stage.client.batches.create(input_file_id="file-x", endpoint=CHAT, completion_window="24h")

    assert refused.value.status_code == 503 and refused.value.code == "service_unavailable"
    assert refused.value.response.headers["retry-after"] == "2"


async def test_a_create_waits_for_a_log_that_comes_back(stage: Stage, nats: NatsServer):
    nats.kill()
    creating = asyncio.create_task(
        stage.client.batches.create(input_file_id="file-x", endpoint=CHAT, completion_window="24h")
    )
    await nats.start()

    assert (await creating).status == "validating"


async def test_a_store_that_takes_no_files_is_answered_503(stage: Stage):
    folder = stage.place.home / "blobs"
    folder.parent.mkdir(exist_ok=True)
    folder.write_bytes(b"a file where the folder should be")
    with pytest.raises(openai.InternalServerError) as refused:
        await stage.client.files.create(file=LINE, purpose="batch")

    assert refused.value.status_code == 503
    assert "Traceback" not in str(refused.value.body)


async def test_figures_count_requests_by_route(stage: Stage):
    await stage.ask("GET", "/v1/files/file-x")
    metrics = (await stage.ask("GET", "/metrics")).body.decode()

    assert 'vbatch_http_requests_total{method="GET",route="/v1/files/{file_id}",status="404"} 1.0' in metrics


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGQUIT)  # PostgreSQL's immediate shutdown


async def test_the_gateways_connections_to_the_read_model_cannot_write(stage: Stage):
    async with stage.parts.dependencies.reads._pool.acquire() as connection:
        for statement in ("DELETE FROM file", "CREATE TABLE mine ()", "UPDATE checkpoint SET sequence = 0"):
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await connection.execute(statement)
        assert await connection.fetchval("SHOW statement_timeout") == "10s"
