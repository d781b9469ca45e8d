"""What the log of a campaign may hold, and what not."""

from __future__ import annotations

import msgspec
import pytest

from tests.chaos.history import Entry
from tests.chaos.verdict import Reading, is_answer_to
from tests.e2e.asking import Line
from tests.support.events import BATCH_DISPATCHED, NOON, RUNNER
from vbatch.contracts import events as e
from vbatch.contracts.ids import SliceId


def leased() -> e.Event:
    return e.RunnerLeased(runner_id=RUNNER, device="cpu", memory_bytes=1, pid=1, at=NOON)


def dispatched(slice_id: str, epoch: int) -> e.Event:
    return msgspec.structs.replace(BATCH_DISPATCHED, slice_id=SliceId(slice_id), epoch=epoch)


def violations(*events: e.Event) -> list[str]:
    entries = [Entry(sequence, NOON, event) for sequence, event in enumerate(events, start=1)]
    return Reading().fold(entries).violations


def test_lines_may_not_be_on_two_slices_of_one_life():
    [found] = violations(leased(), dispatched("s1", 1), dispatched("s2", 1))
    assert "two slices at once" in found


def test_the_next_life_gets_the_lines_of_the_one_before():
    assert violations(leased(), dispatched("s1", 1), leased(), dispatched("s2", 3)) == []


def test_what_was_decided_for_a_life_that_had_just_ended_is_on_no_slice():
    assert violations(leased(), leased(), dispatched("s1", 1), dispatched("s2", 2)) == []


def body(prompt: str) -> Line:
    return {"messages": [{"role": "user", "content": prompt}], "max_tokens": 8}


def answer(content: str) -> Line:
    return {"response": {"body": {"choices": [{"message": {"content": content}}]}}}


@pytest.mark.parametrize(
    ("prompt", "content"),
    [
        ("request 1", "[simulated] request 1"),
        ("request 1", "[simulated] request 1xxxx"),
        ("request 1 \x00 \u2028 a b c d e f g", "[simulated] request 1 \x00 a b c d"),
        ("request 1", "What a real engine says."),
    ],
)
def test_an_answer_that_repeats_its_prompt_belongs_to_it(prompt: str, content: str):
    assert is_answer_to(body(prompt), answer(content))


def test_an_answer_that_repeats_another_prompt_does_not():
    assert not is_answer_to(body("request 1"), answer("[simulated] request 10"))
