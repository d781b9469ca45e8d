"""The models that exist, as the log tells it."""

from __future__ import annotations

from vbatch.contracts.events import AnyEvent, ModelRegistered
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import ModelDefinition


class Registry:
    """Folds `evt.model.>`; the newest definition of a model is the one in force.

    A removed model stays known: the batches that were accepted before still run.
    """

    def __init__(self) -> None:
        self._models: dict[ModelId, ModelDefinition] = {}

    def evolve(self, event: AnyEvent) -> None:
        if isinstance(event, ModelRegistered):
            self._models[event.model.id] = event.model

    def find(self, model: ModelId) -> ModelDefinition | None:
        return self._models.get(model)
