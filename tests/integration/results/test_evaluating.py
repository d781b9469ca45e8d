"""Results is killed while it records what a model said as a judge; every verdict is recorded once all the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.integration.results.stage import Place, eventually, results_process, tell
from tests.support.events import BATCH, EVALUATION_REQUESTED, MODEL, NOON, OWNER, RUNNER
from tests.support.exchanges import chat_body
from vbatch.chassis.failpoints import FOLDER_VARIABLE, Failpoint
from vbatch.contracts import codec, events as e
from vbatch.contracts.evaluations import EvaluationKind, Target, judge_custom_id
from vbatch.contracts.ids import SliceId, new_file_id
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration

ITEMS = 450
"""Three appends."""
JUDGE_BATCH = EVALUATION_REQUESTED.judge_batch_id
FILE = new_file_id(b"judge requests..")


def outcome(line: int) -> e.Outcome:
    content = "No idea." if line % 9 == 0 else json.dumps({"reason": "fine", "score": 1 + line % 5})
    custom_id = judge_custom_id([Target(BATCH, line)])
    return e.Outcome(line=line, custom_id=custom_id, status_code=200, body=msgspec.Raw(chat_body(content)))


def story() -> Iterator[e.AnyEvent]:
    """An evaluation whose judge batch has run."""
    yield e.FileStored(
        file_id=FILE,
        owner=OWNER,
        purpose="batch",
        filename="judge.jsonl",
        bytes=1,
        sha256="00" * 32,
        blob=f"files/{FILE}",
        at=NOON,
    )
    yield e.BatchCreated(
        batch_id=JUDGE_BATCH,
        owner=OWNER,
        input_file_id=FILE,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        expires_at=NOON,
        at=NOON,
    )
    yield msgspec.structs.replace(EVALUATION_REQUESTED, kind=EvaluationKind.ANSWERS, item_count=ITEMS)
    models = (e.ModelTotal(model=MODEL, requests=ITEMS, input_bytes=1),)
    yield e.BatchValidated(batch_id=JUDGE_BATCH, total=ITEMS, last_line=ITEMS, models=models, at=NOON)
    for number, first in enumerate(range(1, ITEMS + 1, 150)):
        yield e.ChunkCompleted(
            batch_id=JUDGE_BATCH,
            slice_id=SliceId("s-1"),
            runner_id=RUNNER,
            epoch=1,
            chunk=number,
            model=MODEL,
            outcomes=tuple(outcome(line) for line in range(first, first + 150)),
            at=NOON,
        )
    yield e.BatchFinalizing(batch_id=JUDGE_BATCH, ending=e.Ending.COMPLETED, never_ran_count=0, at=NOON)


async def recorded_lines(journal: Journal) -> Counter[int]:
    """How often the log holds a judgement of each line."""
    head, lines = await journal.log.last_sequence(), Counter[int]()
    async with journal.log.tail(0) as arrivals:
        async for records in arrivals:
            events = [codec.decode(record) for record in records]
            lines.update(event.line for event in events if isinstance(event, e.JudgementRecorded))
            if records[-1].sequence >= head:
                break
    return lines


@pytest.mark.parametrize("place_of_death", [Failpoint.VERDICTS_READ, Failpoint.VERDICTS_RECORDED])
async def test_each_verdict_is_recorded_once_though_the_process_is_killed(
    place: Place, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place_of_death: Failpoint
):
    control = tmp_path / "failpoints"
    control.mkdir()
    (control / f"{place_of_death}.armed").write_text("KILL")
    monkeypatch.setenv(FOLDER_VARIABLE, str(control))
    await tell(journal, list(story()))
    with results_process(place, tmp_path / "first.log") as first:

        async def is_dead() -> bool:
            return first.poll() is not None

        await eventually(is_dead)

    async def is_done() -> bool:
        return [row["done_count"] for row in await place.rows("evaluation")] == [ITEMS]

    with results_process(place, tmp_path / "second.log"):
        await eventually(is_done)
    valid = [line for line in range(1, ITEMS + 1) if line % 9]
    assert await recorded_lines(journal) == Counter(valid)
    assert sorted(row["line"] for row in await place.rows("judgement")) == valid
    [row] = await place.rows("evaluation")
    assert (row["judged_count"], row["malformed_count"]) == (len(valid), ITEMS // 9)
