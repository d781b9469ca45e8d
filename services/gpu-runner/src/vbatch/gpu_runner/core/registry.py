"""The models that exist, according to the log."""

from __future__ import annotations

from vbatch.contracts.events import AnyEvent, ModelRegistered, ModelRemoved
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import EngineKind, ModelDefinition


class Registry:
    """Folds `evt.model.>`; the newest definition of a model applies.

    A removed model stays known, because batches accepted earlier still run.
    """

    def __init__(self) -> None:
        self._models: dict[ModelId, ModelDefinition] = {}
        self._removed: set[ModelId] = set()

    def evolve(self, event: AnyEvent) -> None:
        """Fold one event; an event that is not about models changes nothing."""
        if isinstance(event, ModelRegistered):
            self._models[event.model.id] = event.model
            self._removed.discard(event.model.id)
        elif isinstance(event, ModelRemoved):
            self._removed.add(event.model_id)

    def find(self, model: ModelId) -> ModelDefinition | None:
        return self._models.get(model)

    def first_of_vllm(self) -> ModelDefinition | None:
        """The model whose start is worth preparing before any is requested: all vLLM engines start alike."""
        models = (model for model in self._models.values() if model.id not in self._removed)
        return next((model for model in models if model.engine is EngineKind.VLLM), None)
