"""Which engines gave the answers of a batch: the entries of its manifest."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.events import (
    BATCH,
    BATCH_CREATED,
    BATCH_VALIDATED,
    CHUNK_COMPLETED,
    EPOCH,
    FLOAT32,
    MODEL,
    MODEL_LOADED,
    NOON,
    ORIGIN,
    RUNNER,
)
from vbatch.contracts import events as e
from vbatch.contracts.ids import ModelId, RunnerId
from vbatch.contracts.manifest import EngineUse
from vbatch.results.core.batches import restored
from vbatch.results.core.engines import ENGINES_MAX, with_engine
from vbatch.results.core.projection import Changes, State, project

LEASED = e.RunnerLeased(runner_id=RUNNER, device="NVIDIA H200", memory_bytes=1 << 37, pid=1, at=NOON)
LOADING = e.ModelLoading(runner_id=RUNNER, epoch=EPOCH, model=MODEL, profile=(FLOAT32,), at=NOON)
LOADED = msgspec.structs.replace(MODEL_LOADED, origin=ORIGIN)
USE = EngineUse(
    model=MODEL, runner_id=RUNNER, device="NVIDIA H200", memory_bytes=1 << 37, origin=ORIGIN, profile=(FLOAT32,)
)


def folded(*events: e.AnyEvent, state: State | None = None) -> State:
    """The lease of the runner is the event whose sequence is its epoch."""
    state = state or State()
    for place, event in enumerate((LEASED, BATCH_CREATED, BATCH_VALIDATED, *events), start=EPOCH):
        project(state, Changes(), place, event)
    return state


def engines_of(state: State) -> list[EngineUse]:
    text = state.batches[BATCH].row.engines
    return msgspec.json.decode(text, type=list[EngineUse]) if text is not None else []


def chunk(number: int, *lines: int, model: ModelId = MODEL) -> e.ChunkCompleted:
    outcomes = tuple(msgspec.structs.replace(CHUNK_COMPLETED.outcomes[0], line=line) for line in lines)
    return msgspec.structs.replace(CHUNK_COMPLETED, chunk=number, model=model, outcomes=outcomes)


def test_the_engine_that_answered_is_noted_with_its_origin_and_settings():
    assert engines_of(folded(LOADING, LOADED, chunk(1, 1))) == [USE]


def test_an_engine_that_answers_again_is_noted_once():
    assert engines_of(folded(LOADING, LOADED, chunk(1, 1), LOADED, chunk(2, 2))) == [USE]


def test_an_engine_with_other_settings_is_another_entry():
    lowered = msgspec.structs.replace(LOADING, profile=())
    found = engines_of(folded(LOADING, LOADED, chunk(1, 1), lowered, LOADED, chunk(2, 2)))
    assert found == [USE, msgspec.structs.replace(USE, profile=())]


def test_answers_that_come_after_their_engine_is_gone_note_nothing():
    other = msgspec.structs.replace(LOADING, model=ModelId("other"))
    assert engines_of(folded(LOADING, LOADED, other, chunk(1, 1))) == []


def test_a_late_answer_for_another_model_hides_no_engine():
    late = chunk(1, 1, model=ModelId("other"))
    assert engines_of(folded(LOADING, LOADED, late, chunk(2, 2))) == [USE]


@pytest.mark.parametrize("restart_at", [1, 2, 3, 4])
def test_a_restart_at_any_event_gives_the_same_entries(restart_at: int):
    story = (LOADING, LOADED, chunk(1, 1), chunk(2, 2))
    state = folded(*story[:restart_at])
    batch = state.batches[BATCH]
    state.batches[BATCH] = restored(batch.row)
    state.batches[BATCH].ledger = batch.ledger
    for place, event in enumerate(story[restart_at:], start=50):
        project(state, Changes(), place, event)
    assert state.batches[BATCH].row.engines == folded(*story).batches[BATCH].row.engines


def test_the_entries_of_one_batch_are_bounded():
    engines = None
    for number in range(ENGINES_MAX + 3):
        engines = with_engine(engines, msgspec.structs.replace(USE, runner_id=RunnerId(f"gpu{number}")))
    assert engines is not None and len(msgspec.json.decode(engines)) == ENGINES_MAX
