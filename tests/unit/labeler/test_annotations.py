"""What people say in Label Studio becomes judgements, each version of an annotation once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.support.events import BATCH, LABELING, LABELING_REQUESTED, NOON, OWNER
from vbatch.contracts import events as e
from vbatch.contracts.curation import Verdict, Vote
from vbatch.contracts.ids import BatchId
from vbatch.labeler.core.annotations import Annotation, LabeledTask, judge_of
from vbatch.labeler.core.state import News, State, evolve, news_of
from vbatch.labeler.core.tasks import TaskData

OTHER = BatchId("batch_ffffffffffffffffffffffffffffffff")
DATA = TaskData(vb_key=f"{LABELING}:0", batch_id=BATCH, line=7, answer="Hello!")


def annotation(number: int, updated_at: str = "2030-01-01T12:00:00Z", **values: Any) -> Annotation:
    result = [{"from_name": name, "value": value} for name, value in values.items()]
    fields = {"id": number, "updated_at": updated_at, "created_username": " ada@example.com, 4", "result": result}
    return msgspec.convert(fields, Annotation)


def task(*annotations: Annotation, data: TaskData = DATA) -> LabeledTask:
    return LabeledTask(id=5, data=msgspec.to_builtins(data), annotations=list(annotations))


def folded(*events: e.AnyEvent) -> State:
    state = State()
    for sequence, event in enumerate((LABELING_REQUESTED, *events), 1):
        evolve(state, event, sequence)
    return state


def said(state: State, of: LabeledTask) -> list[News]:
    """What follows from a task, folded at once, as the process does."""
    events = [event for together in news_of(state, of, NOON) for event in together]
    for event in events:
        evolve(state, event, 9)
    return events


def test_an_annotation_becomes_a_judgement_once():
    state = folded()
    seen = task(annotation(1, verdict={"choices": ["good"]}, score={"rating": 4}, note={"text": ["nice"]}))
    [judgement] = said(state, seen)
    assert isinstance(judgement, e.JudgementRecorded)
    assert (judgement.batch_id, judgement.line, judgement.owner, judgement.judge) == (
        BATCH,
        7,
        OWNER,
        "ls:ada@example.com",
    )
    assert (judgement.verdict, judgement.score, judgement.note) == (Verdict.GOOD, 4.0, "nice")
    assert said(state, seen) == []


def test_a_changed_annotation_takes_the_place_of_the_one_before():
    state = folded()
    [first] = said(state, task(annotation(1, verdict={"choices": ["good"]})))
    withdrawn, second = said(state, task(annotation(1, "2030-01-01T12:05:00Z", verdict={"choices": ["bad"]})))
    assert isinstance(first, e.JudgementRecorded) and isinstance(second, e.JudgementRecorded)
    assert isinstance(withdrawn, e.JudgementWithdrawn) and withdrawn.judgement_id == first.judgement_id
    assert second.verdict is Verdict.BAD


def test_an_annotation_that_is_gone_or_skipped_is_taken_back():
    for after in (task(), task(msgspec.structs.replace(annotation(1, "2030-01-02T00:00:00Z"), was_cancelled=True))):
        state = folded()
        [first] = said(state, task(annotation(1, verdict={"choices": ["good"]})))
        [withdrawn] = said(state, after)
        assert isinstance(first, e.JudgementRecorded) and isinstance(withdrawn, e.JudgementWithdrawn)
        assert (withdrawn.judgement_id, said(state, after)) == (first.judgement_id, [])


def test_each_of_several_people_has_a_judgement():
    state = folded()
    two = [annotation(1, verdict={"choices": ["good"]}), annotation(2, verdict={"choices": ["bad"]})]
    assert len(said(state, task(*two))) == 2
    assert len(said(state, task(two[1]))) == 1


def test_what_was_withdrawn_here_stays_withdrawn():
    state = folded()
    seen = task(annotation(1, verdict={"choices": ["good"]}))
    [judgement] = said(state, seen)
    assert isinstance(judgement, e.JudgementRecorded)
    gone = e.JudgementWithdrawn(at=NOON, owner=OWNER, judgement_id=judgement.judgement_id, batch_id=BATCH, by="key")
    evolve(state, gone, 10)
    assert said(state, seen) == []


def test_the_answer_that_a_judge_started_from_is_no_edit():
    [judgement] = said(folded(), task(annotation(1, verdict={"choices": ["good"]}, edited={"text": [" Hello!\n"]})))
    assert isinstance(judgement, e.JudgementRecorded) and judgement.edited is None
    [judgement] = said(folded(), task(annotation(1, edited={"text": ["Hello, Ada!"]})))
    assert isinstance(judgement, e.JudgementRecorded) and judgement.edited == "Hello, Ada!"


def test_an_annotation_that_says_nothing_is_none():
    assert said(folded(), task(annotation(1))) == []
    assert said(folded(), task(annotation(1, edited={"text": ["Hello!"]}))) == []


def test_a_right_label_is_good_and_another_one_is_the_better_answer():
    data = TaskData(
        vb_key=f"{LABELING}:0",
        batch_id=BATCH,
        line=7,
        answer='{"mood":"sad","why":"x"}',
        label="sad",
        label_field="mood",
    )
    [same] = said(folded(), task(annotation(1, label={"choices": ["sad"]}), data=data))
    [other] = said(folded(), task(annotation(1, label={"choices": ["glad"]}), data=data))
    assert isinstance(same, e.JudgementRecorded) and isinstance(other, e.JudgementRecorded)
    assert (same.verdict, same.edited) == (Verdict.GOOD, None)
    assert (other.verdict, other.edited) == (Verdict.BAD, '{"mood":"glad","why":"x"}')


@pytest.mark.parametrize("choice", ["b", "B is better"])
def test_a_pair_is_compared(choice: str):
    data = TaskData(vb_key=f"{LABELING}:0", batch_id=BATCH, line=7, other_batch_id=OTHER, other_line=8)
    [vote] = said(folded(), task(annotation(1, vote={"choices": [choice]}), data=data))
    assert isinstance(vote, e.AnswersCompared)
    assert (vote.vote, vote.line, vote.other_batch_id, vote.other_line) == (Vote.B, 7, OTHER, 8)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"vb_key": "labeling_of_others:1", "batch_id": BATCH, "line": 7},
        {"vb_key": f"{LABELING}:0", "batch_id": OTHER, "line": 7},
        {"vb_key": f"{LABELING}:0", "batch_id": BATCH, "line": "seven"},
    ],
)
def test_a_task_that_is_not_ours_says_nothing(data: dict[str, Any]):
    seen = LabeledTask(id=5, data=data, annotations=[annotation(1, verdict={"choices": ["good"]})])
    assert news_of(folded(), seen, NOON) == []


def test_a_judge_is_known_by_the_address():
    names = {
        " ada@example.com, 4": "ls:ada@example.com",
        "Ada L ada@example.com, 12": "ls:ada@example.com",
        "": "ls:unknown",
    }
    for name, judge in names.items():
        assert judge_of(msgspec.structs.replace(annotation(1), created_username=name)) == judge


def test_progress_is_what_the_log_says():
    state = folded(
        e.ProjectLinked(at=NOON, owner=OWNER, labeling_id=LABELING, project_id=9),
        e.TasksPushed(at=NOON, owner=OWNER, labeling_id=LABELING, pushed_count=1),
    )
    assert [each.pushed_count for each in state.to_push()] == [1]
    assert state.projects() == {LABELING_REQUESTED.project_id}
    evolve(state, e.TasksPushed(at=NOON, owner=OWNER, labeling_id=LABELING, pushed_count=2), 9)
    assert state.to_push() == []
