from __future__ import annotations

import msgspec
from hypothesis import given, strategies as st

from tests.support.events import BATCH, MODEL, NOON, RUNNER, SLICE
from vbatch.contracts import codec
from vbatch.contracts.events import ChunkCompleted, Outcome, RequestError
from vbatch.contracts.failures import RequestFault
from vbatch.gpu_runner.core.chunks import CHUNK_BYTES_MAX, CHUNK_OUTCOMES_MAX, Chunk, Chunker, outcome_bytes


def outcome(line: int, size: int = 10) -> Outcome:
    return Outcome(line=line, custom_id=f"c{line}", status_code=200, body=msgspec.Raw(b'"' + b"x" * size + b'"'))


def chunks_of(sizes: list[int]) -> list[Chunk]:
    chunker = Chunker()
    closed = [chunk for line, size in enumerate(sizes, 1) for chunk in chunker.add(outcome(line, size))]
    return closed + chunker.close()


def test_nothing_gathered_closes_nothing():
    assert Chunker().close() == []


def test_a_chunk_closes_at_its_number_of_outcomes():
    chunks = chunks_of([10] * (CHUNK_OUTCOMES_MAX + 1))
    assert [len(chunk.outcomes) for chunk in chunks] == [CHUNK_OUTCOMES_MAX, 1]


def test_an_outcome_too_large_for_the_rest_opens_the_next_chunk():
    chunks = chunks_of([CHUNK_BYTES_MAX // 2 + 1] * 2)
    assert [chunk.number for chunk in chunks] == [1, 2]


def test_an_outcome_larger_than_a_chunk_is_a_chunk_alone():
    chunks = chunks_of([10, 2 * CHUNK_BYTES_MAX, 10])
    assert [[outcome.line for outcome in chunk.outcomes] for chunk in chunks] == [[1], [2], [3]]


@given(st.lists(st.integers(0, 2 * CHUNK_BYTES_MAX), max_size=200))
def test_chunks_keep_order_and_never_exceed_a_limit(sizes: list[int]):
    chunks = chunks_of(sizes)
    assert [outcome.line for chunk in chunks for outcome in chunk.outcomes] == list(range(1, len(sizes) + 1))
    assert [chunk.number for chunk in chunks] == list(range(1, len(chunks) + 1))
    for chunk in chunks:
        assert 0 < len(chunk.outcomes) <= CHUNK_OUTCOMES_MAX
        assert sum(map(outcome_bytes, chunk.outcomes)) <= CHUNK_BYTES_MAX or len(chunk.outcomes) == 1


@given(st.integers(1, 10**6), st.text(max_size=64), st.text(max_size=300))
def test_an_outcome_is_no_larger_on_the_wire_than_it_counts_for(line: int, custom_id: str, message: str):
    error = RequestError(code=RequestFault.REQUEST_TIMEOUT, message=message)
    one = Outcome(line=line, custom_id=custom_id, error=error, seconds=1.25)
    event = ChunkCompleted(
        batch_id=BATCH, slice_id=SLICE, runner_id=RUNNER, epoch=7, chunk=1, model=MODEL, outcomes=(one,), at=NOON
    )
    bare = msgspec.structs.replace(event, outcomes=())
    assert len(codec.encode(event, source="t").body) - len(codec.encode(bare, source="t").body) <= outcome_bytes(one)
