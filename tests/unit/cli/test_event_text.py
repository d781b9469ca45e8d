from __future__ import annotations

import pytest

from tests.support import events as samples
from vbatch.contracts import events as e
from vbatch.contracts.catalogue import BY_TYPE
from vbatch.contracts.durations import duration
from vbatch.contracts.event_text import event_text, lines_of, size


@pytest.mark.parametrize("event", samples.SAMPLES, ids=lambda event: BY_TYPE[type(event)].name)
def test_every_event_has_a_sentence_of_its_own(event: e.AnyEvent):
    sentence = event_text(event)
    assert " " in sentence
    assert "\n" not in sentence
    assert type(event).__name__ not in sentence


def test_a_chunk_tells_nothing_of_its_answers():
    assert event_text(samples.CHUNK_COMPLETED) == "3 outcomes of s-7-1 recorded, 2 of them failed"


def test_a_dispatch_says_why_this_and_not_another():
    assert event_text(samples.BATCH_DISPATCHED) == "lines 1 to 3 to gpu0 on org/small-model: oldest job"


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.23, "4.2 s"), (185, "3 min 05 s"), (7620, "2 h 07 min"), (86_400, "24 h 00 min")]
)
def test_a_duration_has_the_units_of_its_size(seconds: float, text: str):
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(812, "812 B"), (3_400_000, "3.4 MB"), (25_769_803_776, "25.8 GB")])
def test_a_size_has_the_unit_of_its_size(count: int, text: str):
    assert size(count) == text


def test_lines_with_gaps_are_not_called_a_range():
    assert lines_of((1, 2, 9)) == "3 lines from 1 to 9"
