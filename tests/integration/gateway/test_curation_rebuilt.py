"""A read model that is rebuilt from the log serves the same judgements, data sets and exports, byte for byte."""

from __future__ import annotations

import pytest

from tests.integration.gateway.stage import Stage, stage_set
from tests.integration.gateway.varied import judged_batches
from tests.integration.results.stage import Place
from tests.integration.results.test_rebuilding import switched
from vbatch.gateway.core.curation.export_formats import ExportFormat
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration

EXPORTS = tuple(f"/v1/datasets/support/versions/1/export?format={each}" for each in ExportFormat)
SERVED = ("/v1/judgements?limit=1000", "/v1/datasets", "/v1/datasets/support/versions/1/card", *EXPORTS)
TABLES = ("judgement", "dataset_version")


async def served(stage: Stage) -> dict[str, bytes]:
    answers = {path: await stage.ask("GET", path) for path in SERVED}
    assert {answer.status for answer in answers.values()} == {200}
    return {path: answer.body for path, answer in answers.items()}


async def test_what_a_lost_read_model_said_of_judged_answers_is_rebuilt_from_the_log(place: Place, journal: Journal):
    async with stage_set(place, journal) as stage:
        batch_ids = await judged_batches(stage)
        asked = {"name": "support", "batch_ids": batch_ids, "test_share": 0.3, "seed": 4}
        made = (await stage.ask("POST", "/v1/datasets", json=asked)).json
        before = await served(stage)
    assert all(len(before[path].splitlines()) >= 5 for path in EXPORTS)

    async with place.connected() as connection:
        for table in TABLES:
            await connection.execute(f"DELETE FROM {table}")
    await switched(place, journal)

    async with stage_set(place, journal) as stage:
        assert await served(stage) == before
        again = await stage.ask("POST", "/v1/datasets", json=asked | {"at_sequence": made["at_sequence"]})
        assert (again.json["version"], again.json["sha256"]) == (2, made["sha256"])
