"""models.toml: parses it, and finds the events that bring the log in line with it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.bounds import cut, fits
from vbatch.contracts.ids import ModelId
from vbatch.contracts.limits import MODEL_DEFINITION_BYTES_MAX, MODEL_ID_BYTES_MAX
from vbatch.contracts.models import ModelDefinition

QUOTE_BYTES_MAX = 100


class BadModelFile(ValueError):
    """The text names the entry and what is wrong with it."""


class _ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: tuple[ModelDefinition, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownModel:
    """What the log holds about a model: its definition, None once removed, and the sequence of that event."""

    definition: ModelDefinition | None
    sequence: int


def read_model_file(text: str) -> tuple[ModelDefinition, ...]:
    """Parse the `[[model]]` entries. Raises BadModelFile."""
    try:
        models = msgspec.convert(tomllib.loads(text), _ModelFile).model
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadModelFile(str(error)) from error
    seen: set[ModelId] = set()
    for model in models:
        if not model.id.strip() or not model.id.isprintable() or model.id in seen:
            raise BadModelFile(f"model id {model.id!r} is empty, not printable or stands there twice")
        if not fits(model.id, MODEL_ID_BYTES_MAX):
            raise BadModelFile(f"model id {cut(model.id, QUOTE_BYTES_MAX)!r} is longer than {MODEL_ID_BYTES_MAX} bytes")
        if len(msgspec.json.encode(model)) > MODEL_DEFINITION_BYTES_MAX:
            raise BadModelFile(f"model {model.id!r} is defined by more than {MODEL_DEFINITION_BYTES_MAX} bytes")
        if fault := model.source_fault() or model.argument_fault():
            raise BadModelFile(f"model {model.id!r}: {fault}")
        seen.add(model.id)
    return models


def fold(known: Mapping[ModelId, KnownModel], event: e.Event, sequence: int) -> dict[ModelId, KnownModel]:
    match event:
        case e.ModelRegistered(model=model):
            return {**known, model.id: KnownModel(model, sequence)}
        case e.ModelRemoved(model_id=model_id):
            return {**known, model_id: KnownModel(None, sequence)}
        case _:
            return dict(known)


def changes(
    known: Mapping[ModelId, KnownModel], wanted: Sequence[ModelDefinition], now: datetime
) -> list[tuple[e.ModelRegistered | e.ModelRemoved, int]]:
    """Return each event that is due, with the sequence at which its model must still be (0: no event yet)."""
    due: list[tuple[e.ModelRegistered | e.ModelRemoved, int]] = []
    for model in wanted:
        current = known.get(model.id, KnownModel(None, 0))
        if current.definition != model:
            due.append((e.ModelRegistered(model=model, at=now), current.sequence))
    wanted_ids = {model.id for model in wanted}
    for model_id, current in known.items():
        if current.definition is not None and model_id not in wanted_ids:
            due.append((e.ModelRemoved(model_id=model_id, at=now), current.sequence))
    return due
