"""Parses the parameters of a new batch. The scheduler, not this module, checks whether the file exists and can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vbatch.contracts import completion_window
from vbatch.contracts.endpoints import BATCH_ENDPOINTS
from vbatch.contracts.ids import FileId
from vbatch.gateway.core.batches.steering import priority_of
from vbatch.gateway.core.dry_run import DryRunAsk, read_dry_run
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.core.refusals import Reason, Refusal, type_invalid
from vbatch.gateway.core.shapes import bounded_string, expiry_seconds, json_object, string

RETRY_SECONDS_MAX = 60
"""The official client repeats a lost request within 8 s, and each of our answers comes within about 20 s."""
COUNT_DIGITS_MAX = 9
FILE_ID_CHARS_MAX = 256
METADATA_PAIRS_MAX = 16
METADATA_KEY_CHARS_MAX = 64
METADATA_VALUE_CHARS_MAX = 512
REQUIRED = ("input_file_id", "endpoint", "completion_window")
OPTIONAL = ("metadata", "output_expires_after", "priority", "dry_run")


@dataclass(frozen=True, slots=True)
class CreateBatchParams:
    """The well-formed parameters of a new batch."""

    input_file_id: FileId
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None
    output_expires_after_seconds: int | None
    priority: int = 0
    dry_run: DryRunAsk | None = None
    """Set where nothing is to be created."""

    @property
    def window_seconds(self) -> int:
        return completion_window.seconds_of(self.completion_window)


def parse_create_batch(raw: bytes) -> CreateBatchParams:
    """Parse a request body. Raises Refusal if a parameter is missing, unknown, malformed or out of bounds."""
    body = json_object(raw, required=REQUIRED, optional=OPTIONAL)
    return CreateBatchParams(
        input_file_id=_input_file_id(body["input_file_id"]),
        endpoint=_one_of(body, "endpoint", BATCH_ENDPOINTS),
        completion_window=_window(body["completion_window"]),
        metadata=_metadata(body.get("metadata")),
        output_expires_after_seconds=expiry_seconds(body.get("output_expires_after"), "output_expires_after"),
        priority=_priority(body.get("priority")),
        dry_run=read_dry_run(body.get("dry_run")),
    )


def is_retry(count: str | None) -> bool:
    """Whether the official client says that it repeats a request: it counts its tries and sends no key."""
    return count is not None and count.isascii() and count.isdigit() and int(count[:COUNT_DIGITS_MAX]) > 0


def check_same_params(batch: BatchRecord, params: CreateBatchParams) -> None:
    """Raises Refusal if the batch of an idempotency key was created with other parameters."""
    if not is_made_by(batch, params):
        message = "This Idempotency-Key was used before with other parameters."
        raise Refusal(Reason.IDEMPOTENCY_KEY_REUSED, message)


def is_made_by(batch: BatchRecord, params: CreateBatchParams) -> bool:
    made_by = CreateBatchParams(
        batch.input_file_id,
        batch.endpoint,
        batch.completion_window,
        batch.metadata,
        batch.output_expires_after_seconds,
        batch.asked_priority,
    )
    return made_by == params


def _input_file_id(value: object) -> FileId:
    """Accept any id that a file could have; the scheduler refuses one that no file has."""
    text = string(value, "input_file_id")
    if not text.isprintable() or len(text) > FILE_ID_CHARS_MAX:
        message = f"Invalid 'input_file_id': expected at most {FILE_ID_CHARS_MAX} printable characters."
        raise Refusal(Reason.VALUE_INVALID, message, "input_file_id")
    return FileId(text)


def _one_of(body: Mapping[str, object], name: str, supported: tuple[str, ...]) -> str:
    value = string(body[name], name)
    if value in supported:
        return value
    quoted = [f"'{one}'" for one in supported]
    words = f"Supported values are: {', '.join(quoted[:-1])}, and {quoted[-1]}."
    raise Refusal(Reason.VALUE_INVALID, f"Invalid value: '{value}'. {words}", name)


def _window(value: object) -> str:
    text = string(value, "completion_window")
    if completion_window.is_window(text):
        return text
    words = f"Value must be '{completion_window.DEFAULT}', or minutes, hours or days from '1h' to '168h'."
    raise Refusal(Reason.VALUE_INVALID, f"Invalid value: '{text}'. {words}", "completion_window")


def _priority(value: object) -> int:
    return 0 if value is None else priority_of(value)


def _metadata(value: object) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise type_invalid("metadata", "an object", value)
    if len(value) > METADATA_PAIRS_MAX:
        words = f"Expected an object with at most {METADATA_PAIRS_MAX} properties, but got {len(value)} instead."
        raise Refusal(Reason.TOO_MANY_PROPERTIES, f"Invalid 'metadata': too many properties. {words}", "metadata")
    return {_metadata_key(key): _metadata_value(key, text) for key, text in value.items()}


def _metadata_key(key: str) -> str:
    return bounded_string(key, f"metadata.{key[:METADATA_KEY_CHARS_MAX]}", METADATA_KEY_CHARS_MAX)


def _metadata_value(key: str, value: object) -> str:
    name = f"metadata.{key[:METADATA_KEY_CHARS_MAX]}"
    return bounded_string(string(value, name), name, METADATA_VALUE_CHARS_MAX)
