from __future__ import annotations

from tests.support.events import MODEL, NOON
from vbatch.contracts.events import ModelRegistered, ModelRemoved
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gpu_runner.core.registry import Registry


def test_the_newest_definition_is_in_force_also_for_what_was_accepted_before_a_removal():
    registry = Registry()
    older, newer = ModelDefinition(id=MODEL, hub="a"), ModelDefinition(id=MODEL, hub="b")
    registry.evolve(ModelRegistered(at=NOON, model=older))
    registry.evolve(ModelRegistered(at=NOON, model=newer))
    assert registry.find(MODEL) == newer
    registry.evolve(ModelRemoved(at=NOON, model_id=MODEL))
    assert registry.find(MODEL) == newer


def test_the_first_model_of_vllm_that_is_still_there_is_worth_preparing():
    registry = Registry()
    assert registry.first_of_vllm() is None
    gone, kept = (ModelDefinition(id=ModelId(name), hub=name) for name in ("gone", "kept"))
    for model in (ModelDefinition(id=MODEL, engine=EngineKind.SIMULATED), gone, kept):
        registry.evolve(ModelRegistered(at=NOON, model=model))
    assert registry.first_of_vllm() == gone
    registry.evolve(ModelRemoved(at=NOON, model_id=gone.id))
    assert registry.first_of_vllm() == kept
