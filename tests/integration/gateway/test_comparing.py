"""Batches over the same inputs are compared line by line: what differs, what failed, how often they agree."""

import csv
import io

import msgspec
import pytest

from tests.integration.gateway.stage import Stage
from tests.integration.results.stage import Story
from tests.support.events import MODEL, NOON, RUNNER
from vbatch.contracts import events as e
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.ids import SliceId

pytestmark = pytest.mark.integration


def answered(story: Story, *texts: str | None) -> e.ChunkCompleted:
    """A text for each line; None for one that timed out."""
    outcomes = []
    for line, text in enumerate(texts, 1):
        if text is None:
            error = e.RequestError(code=RequestFault.REQUEST_TIMEOUT, message="Too slow")
            outcomes.append(e.Outcome(line=line, custom_id=f"request-{line}", error=error))
            continue
        body = msgspec.json.encode({"choices": [{"finish_reason": "stop", "message": {"content": text}}]})
        outcomes.append(
            e.Outcome(
                line=line,
                custom_id=f"request-{line}",
                status_code=200,
                body=msgspec.Raw(body),
                usage=e.Usage(output_tokens=len(text)),
                seconds=line,
            )
        )
    return e.ChunkCompleted(
        batch_id=story.batch_id,
        slice_id=SliceId(f"s-{story.number}"),
        runner_id=RUNNER,
        epoch=1,
        chunk=1,
        model=MODEL,
        outcomes=tuple(outcomes),
        at=NOON,
    )


@pytest.fixture
async def asked(stage: Stage) -> str:
    """Two batches of four lines: they agree on the first, differ on the second, one fails at the third."""
    first, second = Story(1, total=4), Story(2, total=4)
    await stage.place.put_input(first)
    await stage.place.put_input(second)
    await stage.tell(*first.opening(), answered(first, "yes", "tea", "a", "x"))
    await stage.tell(*second.opening(), answered(second, "yes", "coffee", None))
    return f"batches={first.batch_id},{second.batch_id}"


async def test_a_comparison_counts_agreement_and_failures(stage: Stage, asked: str):
    first, second = (await stage.ask("GET", f"/v1/comparisons?{asked}")).json["data"]
    assert first["agreement"] is None and (first["succeeded"], first["seconds_p50"]) == (4, 2.5)
    assert (second["agreement"]["count"], second["agreement"]["of"]) == (1, 2)
    assert (second["answered"], second["failed"]) == (3, 1)


@pytest.mark.parametrize(("only", "lines"), [("all", [1, 2, 3]), ("different", [2, 3]), ("failed", [3])])
async def test_shared_lines_are_listed_by_what_they_have(stage: Stage, asked: str, only: str, lines: list[int]):
    page = (await stage.ask("GET", f"/v1/comparisons/lines?{asked}&only={only}")).json
    assert [line["line"] for line in page["data"]] == lines and not page["has_more"]
    assert (await stage.ask("GET", f"/v1/comparisons/lines?{asked}&only={only}&limit=1")).json["has_more"] == (
        len(lines) > 1
    )


async def test_answers_stand_beside_each_other(stage: Stage, asked: str):
    page = (await stage.ask("GET", f"/v1/comparisons/lines?{asked}&after_line=1&limit=1")).json
    [line] = page["data"]
    assert [answer["text"] for answer in line["answers"]] == ["tea", "coffee"]
    assert [answer["agrees"] for answer in line["answers"]] == [True, False] and line["custom_id"] == "request-2"


async def test_a_comparison_is_exported(stage: Stage, asked: str):
    table = (await stage.ask("GET", f"/v1/comparisons/export?{asked}&only=different")).body.decode()
    rows = list(csv.reader(io.StringIO(table)))
    assert len(rows) == 3 and rows[1][:2] == ["2", "request-2"] and rows[1][3:] == ["tea", "True", "coffee", "False"]


async def test_batches_of_nobody_are_not_compared(stage: Stage, asked: str):
    assert (await stage.ask("GET", f"/v1/comparisons?{asked},batch_{'0' * 32}")).status == 404
    assert (await stage.ask("GET", "/v1/comparisons?batches=one")).status == 400
