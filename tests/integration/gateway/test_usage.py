"""What was used is the sum of what counted, each owner's own, and everybody's for an admin."""

import pytest

from tests.integration.gateway.stage import Stage, stage_set
from tests.integration.gateway.test_lines import ADA, BOB, KEYS, told
from tests.integration.results.stage import Place
from tests.support.events import NOON
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration

DAYS = f"first_day={NOON.date()}&last_day={NOON.date()}"


async def test_usage_is_what_counted(stage: Stage):
    story = await told(stage)
    usage = (await stage.ask("GET", f"/v1/usage?{DAYS}")).json
    batch = (await stage.ask("GET", f"/v1/batches/{story.batch_id}")).json
    [row] = usage["data"]
    assert (row["day"], row["batches"], row["requests"]) == (str(NOON.date()), 1, story.total)
    assert (row["succeeded"], row["failed"]) == (
        batch["request_counts"]["completed"],
        batch["request_counts"]["failed"],
    )
    tokens = sum(outcome.usage.input_tokens for outcome in story.outcomes())
    assert usage["totals"]["input_tokens"] == row["input_tokens"] == tokens > 0
    table = await stage.ask("GET", f"/v1/usage?{DAYS}&format=csv")
    assert len(table.body.splitlines()) == 2 and table.headers["content-type"].startswith("text/csv")


async def test_owners_see_their_own_usage_only(place: Place, journal: Journal):
    async with stage_set(place, journal, keys=KEYS) as stage:
        await told(stage)
        own, others = [
            (await stage.ask("GET", f"/v1/usage?{DAYS}", headers={"authorization": f"Bearer {key}"})).json
            for key in (ADA, BOB)
        ]
        assert own["totals"]["batches"] == 1 and others["totals"]["batches"] == 0
        refused = await stage.ask("GET", "/v1/admin/usage", headers={"authorization": f"Bearer {BOB}"})
        assert refused.status == 403


async def test_an_admin_sees_what_everybody_used(stage: Stage):
    await told(stage)
    usage = (await stage.ask("GET", f"/v1/admin/usage?{DAYS}")).json
    assert usage["totals"]["batches"] == 1 and usage["data"][0]["owner"]
