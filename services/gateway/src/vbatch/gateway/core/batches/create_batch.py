"""Parses the parameters of a new batch. The scheduler, not this module, checks whether the file exists and can run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import msgspec

from vbatch.contracts import completion_window
from vbatch.contracts.endpoints import BATCH_ENDPOINTS
from vbatch.contracts.events import Flaw
from vbatch.contracts.ids import BatchId, FileId, ModelId, fanout_id_of, made_file_id
from vbatch.contracts.limits import MODELS_COUNT_MAX
from vbatch.contracts.lines import single_line
from vbatch.gateway.core.batches.steering import priority_of
from vbatch.gateway.core.dry_run import DryRunParams, read_dry_run
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.core.refusals import Reason, Refusal, parameter_missing, parameter_unknown, type_invalid
from vbatch.gateway.core.shapes import bounded_string, expiry_seconds, json_object, string

RETRY_SECONDS_MAX = 60
"""The official client repeats a lost request within 8 s, and each of our answers comes within about 20 s."""
COUNT_DIGITS_MAX = 9
FILE_ID_CHARS_MAX = 256
METADATA_PAIRS_MAX = 16
METADATA_KEY_CHARS_MAX = 64
METADATA_VALUE_CHARS_MAX = 512
REQUESTS_MAX = 1_000
REQUIRED = ("endpoint", "completion_window")
INPUTS = ("input_file_id", "requests")
"""Exactly one of them is required."""
OPTIONAL = ("metadata", "output_expires_after", "priority", "models", "pause_on", "dry_run")


@dataclass(frozen=True)
class CreateBatchParams:
    """The well-formed parameters of a new batch. `requests` is the JSONL of an input file that is still to be made; an
    existing input file is named by its id instead. With `models` every line runs on each of them, in a batch of its
    own."""

    input_file_id: FileId | None
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None
    output_expires_after_seconds: int | None
    priority: int = 0
    requests: bytes | None = None
    models: tuple[ModelId, ...] = ()
    pause_on: dict[Flaw, float] | None = None
    dry_run: DryRunParams | None = None
    """Set if nothing is to be created; then there is an input file, and no `models`."""

    @property
    def window_seconds(self) -> int:
        return completion_window.seconds_of(self.completion_window)

    @cached_property
    def requests_sha256(self) -> str:
        return hashlib.sha256(self.requests or b"").hexdigest()

    def input_of(self, batch_id: BatchId) -> FileId:
        """Return the input file of a batch with this id."""
        return self.input_file_id or made_file_id(batch_id, self.requests_sha256)


def parse_create_batch(raw: bytes) -> CreateBatchParams:
    """Parse a request body. Raises Refusal if a parameter is missing, unknown, malformed or out of bounds."""
    body = json_object(raw, required=(), optional=(*INPUTS, *REQUIRED, *OPTIONAL))
    _check_inputs(body)
    for name in REQUIRED:
        if body.get(name) is None:
            raise parameter_missing(name)
    return CreateBatchParams(
        input_file_id=_input_file_id(body["input_file_id"]) if body.get("requests") is None else None,
        endpoint=_one_of(body, "endpoint", BATCH_ENDPOINTS),
        completion_window=asked_window(body["completion_window"]),
        metadata=_metadata(body.get("metadata")),
        output_expires_after_seconds=expiry_seconds(body.get("output_expires_after"), "output_expires_after"),
        priority=0 if body.get("priority") is None else priority_of(body["priority"]),
        requests=_requests(body["requests"], raw) if body.get("requests") is not None else None,
        models=_models(body["models"]) if body.get("models") is not None else (),
        pause_on=_pause_on(body["pause_on"]) if body.get("pause_on") is not None else None,
        dry_run=_dry_run(body),
    )


def is_retry(count: str | None) -> bool:
    """Whether the official client marks a request as repeated: it counts its tries and sends no key."""
    return count is not None and count.isascii() and count.isdigit() and int(count[:COUNT_DIGITS_MAX]) > 0


def check_same_params(batch: BatchRecord, params: CreateBatchParams) -> None:
    """Raises Refusal if the batch of an idempotency key was created with other parameters."""
    if not is_made_by(batch, params):
        raise key_reused()


def key_reused() -> Refusal:
    message = "This Idempotency-Key was used before with other parameters."
    return Refusal(Reason.IDEMPOTENCY_KEY_REUSED, message)


def is_made_by(batch: BatchRecord, params: CreateBatchParams) -> bool:
    """Whether these parameters created the batch, as the first of its fan-out if they have models."""
    fanout_id = fanout_id_of(batch.id, params.models) if params.models else None
    return (batch.retry_of, batch.fanout_id) == (None, fanout_id) and (
        batch.input_file_id,
        batch.endpoint,
        batch.completion_window,
        batch.metadata,
        batch.output_expires_after_seconds,
        batch.asked_priority,
        batch.pause_on,
    ) == (
        params.input_of(batch.id),
        params.endpoint,
        params.completion_window,
        params.metadata,
        params.output_expires_after_seconds,
        params.priority,
        params.pause_on,
    )


def _check_inputs(body: Mapping[str, object]) -> None:
    """Raises Refusal unless there is exactly one input."""
    given = [name for name in INPUTS if body.get(name) is not None]
    if not given:
        raise parameter_missing(INPUTS[0])
    if len(given) > 1:
        message = (
            "Mutually exclusive parameters: 'input_file_id' and 'requests'. Ensure you are only providing one of them."
        )
        raise Refusal(Reason.PARAMETERS_EXCLUSIVE, message, "requests")


def _dry_run(body: Mapping[str, object]) -> DryRunParams | None:
    """Parse the params of a dry run, which estimates one batch of an uploaded file. Raises Refusal if the body also has
    `requests` or `models`."""
    asked = read_dry_run(body.get("dry_run"))
    beside = next((name for name in ("requests", "models") if body.get(name) is not None), None)
    if asked is not None and beside is not None:
        message = f"Mutually exclusive parameters: 'dry_run' and '{beside}'. Try an uploaded file that names its model."
        raise Refusal(Reason.PARAMETERS_EXCLUSIVE, message, beside)
    return asked


def _models(value: object) -> tuple[ModelId, ...]:
    if not isinstance(value, list):
        raise type_invalid("models", "an array", value)
    if not 1 <= len(value) <= MODELS_COUNT_MAX:
        message = f"Invalid 'models': expected 1 to {MODELS_COUNT_MAX} models, but got {len(value)}."
        raise Refusal(Reason.VALUE_INVALID, message, "models")
    models = [string(model, f"models[{place}]") for place, model in enumerate(value)]
    if len(set(models)) < len(models):
        raise Refusal(Reason.VALUE_INVALID, "Invalid 'models': a model is named twice.", "models")
    return tuple(ModelId(model) for model in models)


def _pause_on(value: object) -> dict[Flaw, float] | None:
    """Return the shares at which the batch is paused, by flaw; None for an empty object."""
    if not isinstance(value, dict):
        raise type_invalid("pause_on", "an object", value)
    for name in value:
        if name not in list(Flaw):
            raise parameter_unknown(f"pause_on.{name}")
    return {Flaw(name): _share(share, f"pause_on.{name}") for name, share in value.items()} or None


def _share(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise type_invalid(name, "a number", value)
    if not 0 < value <= 1:
        raise Refusal(Reason.VALUE_INVALID, f"Invalid '{name}': expected a share above 0, and at most 1.", name)
    return float(value)


class _Requests(msgspec.Struct, frozen=True):
    """The body with its requests as the client wrote them."""

    requests: list[msgspec.Raw]


def _requests(value: object, raw: bytes) -> bytes:
    """Return the requests of the body `raw` as the JSONL of an input file; the scheduler checks its lines as in any
    input file."""
    if not isinstance(value, list):
        raise type_invalid("requests", "an array", value)
    if not 1 <= len(value) <= REQUESTS_MAX:
        message = (
            f"Invalid 'requests': expected 1 to {REQUESTS_MAX} requests, but got {len(value)}. Upload a file for more."
        )
        raise Refusal(Reason.VALUE_INVALID, message, "requests")
    for place, request in enumerate(value):
        if not isinstance(request, dict):
            raise type_invalid(f"requests[{place}]", "an object", request)
    written = msgspec.json.decode(raw, type=_Requests).requests
    return b"".join(single_line(bytes(request)) + b"\n" for request in written)


def _input_file_id(value: object) -> FileId:
    """Accept any id that a file could have; the scheduler refuses an id that no file has."""
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


def asked_window(value: object) -> str:
    """Return a valid completion window. Raises Refusal."""
    text = string(value, "completion_window")
    if completion_window.is_window(text):
        return text
    words = f"Value must be '{completion_window.DEFAULT}', or minutes, hours or days from '1h' to '168h'."
    raise Refusal(Reason.VALUE_INVALID, f"Invalid value: '{text}'. {words}", "completion_window")


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
