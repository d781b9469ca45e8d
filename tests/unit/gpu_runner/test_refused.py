"""What is recorded instead of an event that the log refuses: every line keeps one outcome."""

from __future__ import annotations

from msgspec.structs import replace

from tests.support.events import CHUNK_COMPLETED, SAMPLES
from vbatch.contracts import events as e
from vbatch.contracts.bounds import fits
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.limits import CUSTOM_ID_BYTES_MAX
from vbatch.gpu_runner.core.refused import stand_ins
from vbatch.journal.port import Rejected

REFUSAL = Rejected("3000000 bytes, the limit is 2097152")


def test_a_chunk_is_recorded_line_by_line_as_it_is():
    found = stand_ins(CHUNK_COMPLETED, REFUSAL)
    assert [each.outcomes for each in found if isinstance(each, e.ChunkCompleted)] == [
        (outcome,) for outcome in CHUNK_COMPLETED.outcomes
    ]


def test_the_parts_of_chunks_never_share_a_number():
    numbers = [
        part.chunk
        for chunk in (1, 2, 3, 512)
        for part in stand_ins(replace(CHUNK_COMPLETED, chunk=chunk), REFUSAL)
        if isinstance(part, e.ChunkCompleted)
    ]
    assert len(set(numbers)) == len(numbers) and min(numbers) > 512


def test_a_line_that_is_refused_alone_fails_alone():
    alone = replace(CHUNK_COMPLETED, outcomes=CHUNK_COMPLETED.outcomes[:1])
    [instead] = stand_ins(alone, REFUSAL)
    assert isinstance(instead, e.ChunkCompleted) and instead.chunk == alone.chunk
    [outcome] = instead.outcomes
    assert (outcome.line, outcome.custom_id, outcome.status_code) == (1, "a", None)
    assert outcome.error is not None and outcome.error.code is RequestFault.UNREADABLE_ANSWER
    assert "3000000 bytes" in outcome.error.message


def test_a_name_that_only_an_old_log_can_hold_is_cut():
    old = replace(CHUNK_COMPLETED.outcomes[2], custom_id="z" * 2_200_000)
    [instead] = stand_ins(replace(CHUNK_COMPLETED, outcomes=(old,)), REFUSAL)
    assert isinstance(instead, e.ChunkCompleted)
    assert fits(instead.outcomes[0].custom_id, CUSTOM_ID_BYTES_MAX)


def test_there_is_no_stand_in_for_a_stand_in():
    [instead] = stand_ins(replace(CHUNK_COMPLETED, outcomes=CHUNK_COMPLETED.outcomes[:1]), REFUSAL)
    assert stand_ins(instead, REFUSAL) == []


def test_other_events_lose_their_words_only():
    returned = next(each for each in SAMPLES if isinstance(each, e.SliceReturned))
    [instead] = stand_ins(returned, REFUSAL)
    assert instead == replace(returned, detail="")
    assert stand_ins(instead, REFUSAL) == []
