"""The events of models."""

from __future__ import annotations

from typing import Annotated

from vbatch.contracts import limits
from vbatch.contracts.bounds import Json
from vbatch.contracts.events.base import Event
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import ModelDefinition


class ModelRegistered(Event, frozen=True, kw_only=True):
    """Requests may name this model from now on, or its definition changed."""

    model: Annotated[ModelDefinition, Json(limits.MODEL_DEFINITION_BYTES_MAX)]


class ModelRemoved(Event, frozen=True, kw_only=True):
    """New batches may no longer name the model."""

    model_id: ModelId


ModelEvent = ModelRegistered | ModelRemoved
