"""The model registry: lists it, and brings the log in line with models.toml."""

from __future__ import annotations

from collections.abc import Sequence

from vbatch.chassis.logs import get_logger
from vbatch.contracts import events as e
from vbatch.contracts.codec import Unreadable, decode
from vbatch.contracts.ids import ModelId, model_token
from vbatch.contracts.message import Recorded
from vbatch.contracts.models import ModelDefinition
from vbatch.contracts.subjects import MODEL_EVENTS
from vbatch.gateway.core.model_file import KnownModel, changes, fold
from vbatch.gateway.core.records import ModelRecord
from vbatch.gateway.core.refusals import no_such_model
from vbatch.gateway.flows.writing import append
from vbatch.gateway.ports import Dependencies
from vbatch.journal.port import Conflict, Guard, Log

REGISTRATION_TRIES_MAX = 10


class RegistryContended(Exception):
    """Raised when others keep changing the registry: most likely gateways with different models.toml files."""


async def list_models(dependencies: Dependencies) -> list[ModelRecord]:
    return await dependencies.reads.models()


async def find_model(dependencies: Dependencies, model_id: str) -> ModelRecord:
    """Find a model. Raises Refusal if it is unknown."""
    model = await dependencies.reads.model(ModelId(model_id)) if "\0" not in model_id else None
    if model is None:
        raise no_such_model(model_id)
    return model


async def register_models(dependencies: Dependencies, wanted: Sequence[ModelDefinition]) -> int:
    """Append what the log lacks and return the number of events. Several gateways may do this at once: each change is
    made once."""
    appended = 0
    for _ in range(REGISTRATION_TRIES_MAX):
        due = changes(await _known_models(dependencies.log), wanted, dependencies.now())
        if not due:
            return appended
        for event, sequence in due:
            appended += await _append_if_unchanged(dependencies, event, sequence)
    raise RegistryContended(f"the model registry changed {REGISTRATION_TRIES_MAX} times while it was being brought up")


async def _append_if_unchanged(
    dependencies: Dependencies, event: e.ModelRegistered | e.ModelRemoved, sequence: int
) -> bool:
    model_id = event.model.id if isinstance(event, e.ModelRegistered) else event.model_id
    try:
        await append(dependencies, event, Guard(f"evt.model.{model_token(model_id)}.>", sequence))
    except Conflict:
        return False  # another gateway was faster; the next read of the log shows whether anything is left to do
    return True


def _read(record: Recorded) -> e.Event | None:
    """Decode a record; None if this version cannot: the gateway must start anyway."""
    try:
        return decode(record)
    except Unreadable as error:
        get_logger().warning("model_event_passed_over", sequence=record.sequence, reason=str(error))
        return None


async def _known_models(log: Log) -> dict[ModelId, KnownModel]:
    newest = await log.last(MODEL_EVENTS)
    known: dict[ModelId, KnownModel] = {}
    if newest is None:
        return known
    async with log.tail(0, [MODEL_EVENTS]) as tail:
        async for records in tail:
            for record in records:
                known = fold(known, event, record.sequence) if (event := _read(record)) else known
            if records[-1].sequence >= newest.sequence:
                break
    return known
