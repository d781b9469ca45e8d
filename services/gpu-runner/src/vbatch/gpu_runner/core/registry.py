"""The models that exist, as the log tells it."""

from __future__ import annotations

from vbatch.contracts.events import Event, ModelRegistered, ModelRemoved
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import ModelDefinition


class Registry:
    """Folds `evt.model.>`; the newest definition of a model is the one in force."""

    def __init__(self) -> None:
        self._models: dict[ModelId, ModelDefinition] = {}

    def evolve(self, event: Event) -> None:
        match event:
            case ModelRegistered():
                self._models[event.model.id] = event.model
            case ModelRemoved():
                self._models.pop(event.model_id, None)
            case _:
                pass  # a newer writer's event on a model: nothing that this runner knows to need

    def find(self, model: ModelId) -> ModelDefinition | None:
        return self._models.get(model)
