"""Why a request is refused, and the answer to each reason: the one table of the API's errors.

Wording and codes are OpenAI's where they are known; docs/compatibility.md lists the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from vbatch.contracts.access import Scope

INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"
SERVER_FAULT_MESSAGE = "The server had an error processing your request. Sorry about that!"
RETRY_AFTER_SECONDS = 2
WORDS_CHARS_MAX = 1_000


class Reason(StrEnum):
    """What is wrong with a request, or with the server."""

    KEY_MISSING = "key_missing"
    KEY_WRONG = "key_wrong"
    TOO_MANY_FAILED_KEYS = "too_many_failed_keys"
    SCOPE_MISSING = "scope_missing"
    NO_SUCH_KEY = "no_such_key"
    NO_SUCH_WEBHOOK = "no_such_webhook"
    WEBHOOK_UNANSWERED = "webhook_unanswered"
    KEY_OVER = "key_over"
    PINNED = "pinned"
    QUOTA_EXCEEDED = "quota_exceeded"
    NO_SUCH_JUDGEMENT = "no_such_judgement"
    NO_SUCH_DATASET = "no_such_dataset"
    NO_SUCH_LABELING = "no_such_labeling"
    NO_SUCH_EVALUATION = "no_such_evaluation"
    NO_SUCH_FILE = "no_such_file"
    NO_SUCH_UPLOAD = "no_such_upload"
    NO_SUCH_BATCH = "no_such_batch"
    NO_SUCH_MODEL = "no_such_model"
    NO_SUCH_FANOUT = "no_such_fanout"
    NO_SUCH_RUNNER = "no_such_runner"
    RUNNER_NOT_RUNNING = "runner_not_running"
    BODY_UNREADABLE = "body_unreadable"
    BODY_TOO_LARGE = "body_too_large"
    ENCODING_UNKNOWN = "encoding_unknown"
    BODY_TOO_SLOW = "body_too_slow"
    HEAD_TOO_LARGE = "head_too_large"
    HEAD_TOO_SLOW = "head_too_slow"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    PARAMETER_MISSING = "parameter_missing"
    PARAMETER_UNKNOWN = "parameter_unknown"
    PARAMETERS_EXCLUSIVE = "parameters_exclusive"
    VALUE_INVALID = "value_invalid"
    TYPE_INVALID = "type_invalid"
    TOO_MANY_PROPERTIES = "too_many_properties"
    STRING_TOO_LONG = "string_too_long"
    INTEGER_TOO_SMALL = "integer_too_small"
    INTEGER_TOO_LARGE = "integer_too_large"
    PURPOSE_UNKNOWN = "purpose_unknown"
    FILE_NOT_JSONL = "file_not_jsonl"
    FILE_TOO_LARGE = "file_too_large"
    UPLOAD_NOT_PENDING = "upload_not_pending"
    PARTS_UNFIT = "parts_unfit"
    FILE_NOT_DOWNLOADABLE = "file_not_downloadable"
    RANGE_UNSATISFIABLE = "range_unsatisfiable"
    BATCH_OVER = "batch_over"
    BATCH_NOT_RETRYABLE = "batch_not_retryable"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    TOO_MANY_STREAMS = "too_many_streams"
    RATE_LIMITED = "rate_limited"
    MODEL_NOT_DELETABLE = "model_not_deletable"
    LOGS_ELSEWHERE = "logs_elsewhere"
    NO_SUCH_DEAD_LETTER = "no_such_dead_letter"
    NOT_RESENDABLE = "not_resendable"
    MODEL_NOT_LOADED = "model_not_loaded"
    ENDPOINT_UNSERVED = "endpoint_unserved"
    LANE_FULL = "lane_full"
    ENGINE_LOST = "engine_lost"
    ENGINE_TIMED_OUT = "engine_timed_out"
    URL_UNKNOWN = "url_unknown"
    METHOD_UNKNOWN = "method_unknown"
    SERVER_FAULT = "server_fault"
    NO_ROOM = "no_room"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Answer:
    """The fixed part of an error response."""

    status: int
    code: str | None = None
    type: str = INVALID_REQUEST
    headers: Mapping[str, str] = field(default_factory=dict)


RETRY_LATER = {"retry-after": str(RETRY_AFTER_SECONDS)}
DO_NOT_RETRY = {"x-should-retry": "false"}  # the official client would send a 409 three times

ANSWERS: Mapping[Reason, Answer] = {
    Reason.KEY_MISSING: Answer(401),
    Reason.KEY_WRONG: Answer(401, "invalid_api_key"),
    Reason.TOO_MANY_FAILED_KEYS: Answer(429, "rate_limit_exceeded", "requests"),
    Reason.SCOPE_MISSING: Answer(403, "insufficient_permissions"),
    Reason.NO_SUCH_KEY: Answer(404),
    Reason.NO_SUCH_WEBHOOK: Answer(404),
    Reason.WEBHOOK_UNANSWERED: Answer(400, "webhook_unanswered"),
    Reason.KEY_OVER: Answer(409, headers=DO_NOT_RETRY),
    Reason.PINNED: Answer(409, headers=DO_NOT_RETRY),
    # Waiting a moment does not help: other work of the owner must end first.
    Reason.QUOTA_EXCEEDED: Answer(429, "quota_exceeded", "insufficient_quota", DO_NOT_RETRY),
    Reason.NO_SUCH_JUDGEMENT: Answer(404),
    Reason.NO_SUCH_DATASET: Answer(404),
    Reason.NO_SUCH_LABELING: Answer(404),
    Reason.NO_SUCH_EVALUATION: Answer(404),
    Reason.NO_SUCH_FILE: Answer(404),
    Reason.NO_SUCH_UPLOAD: Answer(404),
    Reason.NO_SUCH_BATCH: Answer(404),
    Reason.NO_SUCH_MODEL: Answer(404, "model_not_found"),
    Reason.NO_SUCH_FANOUT: Answer(404),
    Reason.NO_SUCH_RUNNER: Answer(404),
    Reason.RUNNER_NOT_RUNNING: Answer(409, "runner_not_running", headers=DO_NOT_RETRY),
    Reason.BODY_UNREADABLE: Answer(400),
    Reason.BODY_TOO_LARGE: Answer(400),
    # The rest of the body is not read, so the connection cannot be used again.
    Reason.BODY_TOO_SLOW: Answer(408, "request_timeout", headers={"connection": "close"}),
    Reason.ENCODING_UNKNOWN: Answer(415, "unsupported_content_encoding"),
    Reason.HEAD_TOO_LARGE: Answer(431),
    Reason.HEAD_TOO_SLOW: Answer(408, "request_timeout"),
    Reason.TOO_MANY_CONNECTIONS: Answer(503, "service_unavailable", SERVER_ERROR, RETRY_LATER),
    Reason.PARAMETER_MISSING: Answer(400, "missing_required_parameter"),
    Reason.PARAMETER_UNKNOWN: Answer(400, "unknown_parameter"),
    Reason.PARAMETERS_EXCLUSIVE: Answer(400, "mutually_exclusive_parameters"),
    Reason.VALUE_INVALID: Answer(400, "invalid_value"),
    Reason.TYPE_INVALID: Answer(400, "invalid_type"),
    Reason.TOO_MANY_PROPERTIES: Answer(400, "object_above_max_properties"),
    Reason.STRING_TOO_LONG: Answer(400, "string_above_max_length"),
    Reason.INTEGER_TOO_SMALL: Answer(400, "integer_below_min_value"),
    Reason.INTEGER_TOO_LARGE: Answer(400, "integer_above_max_value"),
    Reason.PURPOSE_UNKNOWN: Answer(400),
    Reason.FILE_NOT_JSONL: Answer(400),
    Reason.FILE_TOO_LARGE: Answer(400),
    Reason.UPLOAD_NOT_PENDING: Answer(400),
    Reason.PARTS_UNFIT: Answer(400),
    Reason.FILE_NOT_DOWNLOADABLE: Answer(400),
    Reason.RANGE_UNSATISFIABLE: Answer(416),
    Reason.BATCH_OVER: Answer(409, headers=DO_NOT_RETRY),
    Reason.BATCH_NOT_RETRYABLE: Answer(409, headers=DO_NOT_RETRY),
    Reason.IDEMPOTENCY_KEY_REUSED: Answer(409, "idempotency_key_reused", headers=DO_NOT_RETRY),
    Reason.TOO_MANY_STREAMS: Answer(429, "rate_limit_exceeded", "requests", RETRY_LATER),
    Reason.RATE_LIMITED: Answer(429, "rate_limit_exceeded", "requests"),  # its headers say when to try again
    Reason.MODEL_NOT_DELETABLE: Answer(403),
    Reason.LOGS_ELSEWHERE: Answer(404, "logs_elsewhere"),
    Reason.NO_SUCH_DEAD_LETTER: Answer(404),
    Reason.NOT_RESENDABLE: Answer(409, headers=DO_NOT_RETRY),
    # The refusal's own headers say when to try again.
    Reason.MODEL_NOT_LOADED: Answer(503, "model_not_loaded", SERVER_ERROR),
    Reason.ENDPOINT_UNSERVED: Answer(400, "unsupported_endpoint"),
    Reason.LANE_FULL: Answer(429, "rate_limit_exceeded", "requests", RETRY_LATER),
    # The request itself may have ended the engine: a client that sends it again at once could end the next one.
    Reason.ENGINE_LOST: Answer(502, "engine_lost", SERVER_ERROR, DO_NOT_RETRY),
    Reason.ENGINE_TIMED_OUT: Answer(504, "engine_timed_out", SERVER_ERROR, DO_NOT_RETRY),
    Reason.URL_UNKNOWN: Answer(404, "unknown_url"),
    Reason.METHOD_UNKNOWN: Answer(405, "method_not_supported"),
    Reason.SERVER_FAULT: Answer(500, type=SERVER_ERROR),
    # Only people can make space: a client that retries at once would just send its upload three times.
    Reason.NO_ROOM: Answer(507, "insufficient_storage", SERVER_ERROR, DO_NOT_RETRY),
    Reason.UNAVAILABLE: Answer(503, "service_unavailable", SERVER_ERROR, RETRY_LATER),
}


class Refusal(Exception):
    """The request is invalid, or cannot be served now. The message is for the client, `headers` belong to this one
    refusal; ANSWERS has the rest."""

    def __init__(
        self, reason: Reason, message: str, param: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.headers = headers or {}
        self.message = _bounded(message)
        self.param = _bounded(param) if param is not None else None

    @property
    def answer(self) -> Answer:
        return ANSWERS[self.reason]

    def envelope(self) -> dict[str, dict[str, str | None]]:
        """Return the body: always with all four keys."""
        answer = self.answer
        return {"error": {"message": self.message, "type": answer.type, "param": self.param, "code": answer.code}}

    def mirrored_envelope(self) -> dict[str, dict[str, str | None]]:
        """Return the body that OpenAI sends on the routes of files, which contains the error twice."""
        return self.envelope() | {"detail": {"message": self.message, "code": self.answer.code}}


def _bounded(text: str) -> str:
    """Limit the client's own text in an error message."""
    return text if len(text) <= WORDS_CHARS_MAX else text[:WORDS_CHARS_MAX] + "..."


def key_missing() -> Refusal:
    return Refusal(Reason.KEY_MISSING, "Missing bearer or basic authentication in header")


def key_wrong(key: str) -> Refusal:
    """Return OpenAI's exact text, including where to find a key, because some clients match it."""
    words = "You can find your API key at https://platform.openai.com/account/api-keys."
    return Refusal(Reason.KEY_WRONG, f"Incorrect API key provided: {masked(key)}. {words}")


def keys_not_made() -> Refusal:
    """Return the refusal for a server that can be reached from elsewhere and has no key yet."""
    words = "No API key exists yet: make the first one with `vbatch keys init` on the machine of the server."
    return Refusal(Reason.KEY_MISSING, words)


def access_unknown() -> Refusal:
    return unavailable("The server has not read all API keys yet.")


def too_many_failed_keys(seconds: float) -> Refusal:
    words = f"Too many wrong API keys came from your address. Please try again in {seconds:.1f}s."
    return Refusal(Reason.TOO_MANY_FAILED_KEYS, words, headers={"retry-after": str(math.ceil(seconds))})


def scope_missing(scope: Scope) -> Refusal:
    words = f"You have insufficient permissions for this operation. Missing scopes: {scope}."
    return Refusal(Reason.SCOPE_MISSING, words)


def no_such_key(key_id: str) -> Refusal:
    return Refusal(Reason.NO_SUCH_KEY, f"No API key found with id '{key_id}'.", "key_id")


def key_over(key_id: str) -> Refusal:
    return Refusal(Reason.KEY_OVER, f"The API key '{key_id}' is revoked or has expired.")


def key_ended() -> Refusal:
    """Return the refusal for a stream that was opened with a key that is no longer valid."""
    return Refusal(Reason.KEY_OVER, "Your API key was revoked or has expired.")


def quota_exceeded(words: str, param: str | None = None) -> Refusal:
    return Refusal(Reason.QUOTA_EXCEEDED, words, param)


def masked(key: str) -> str:
    """Show enough of a key to recognise it, never enough to use it."""
    return f"{key[:3]}{'*' * 8}{key[-4:]}" if len(key) >= 20 else "*" * 8


def no_such_file(file_id: str) -> Refusal:
    return Refusal(Reason.NO_SUCH_FILE, f"No such File object: {file_id}", "id")


def no_such_upload(upload_id: str) -> Refusal:
    return Refusal(Reason.NO_SUCH_UPLOAD, f"No such Upload object: {upload_id}", "upload_id")


def no_such_batch(batch_id: str) -> Refusal:
    return Refusal(Reason.NO_SUCH_BATCH, f"No batch found with id '{batch_id}'.")


def not_a_batch_id(text: str) -> Refusal:
    message = f"Invalid 'batch_id': '{text}'. Expected an ID that begins with 'batch'."
    return Refusal(Reason.VALUE_INVALID, message, "batch_id")


def no_such_model(model_id: str, param: str = "model") -> Refusal:
    return Refusal(Reason.NO_SUCH_MODEL, f"The model '{model_id}' does not exist", param)


def no_such_fanout(fanout_id: str) -> Refusal:
    return Refusal(Reason.NO_SUCH_FANOUT, f"No fan-out found with id '{fanout_id}'.")


def model_not_deletable(model_id: str) -> Refusal:
    message = f"The model '{model_id}' cannot be deleted: this server's models are declared in its models.toml."
    return Refusal(Reason.MODEL_NOT_DELETABLE, message, "model")


def url_unknown(method: str, path: str) -> Refusal:
    return Refusal(Reason.URL_UNKNOWN, f"Invalid URL ({method} {path})")


def endpoint_unserved(model_id: str, endpoint: str) -> Refusal:
    return Refusal(Reason.ENDPOINT_UNSERVED, f"The model '{model_id}' does not serve {endpoint}.", "model")


def model_not_loaded(message: str, retry_after_seconds: float) -> Refusal:
    """Return the refusal for a model that was not loaded in time; `message` says what runs now."""
    seconds = str(max(1, math.ceil(retry_after_seconds)))
    return Refusal(Reason.MODEL_NOT_LOADED, message, "model", headers={"retry-after": seconds})


def engine_lost(message: str) -> Refusal:
    return Refusal(Reason.ENGINE_LOST, message)


def parameter_missing(name: str) -> Refusal:
    return Refusal(Reason.PARAMETER_MISSING, f"Missing required parameter: '{name}'.", name)


def parameter_unknown(name: str) -> Refusal:
    return Refusal(Reason.PARAMETER_UNKNOWN, f"Unknown parameter: '{name}'.", name)


def type_invalid(name: str, expected: str, value: object) -> Refusal:
    message = f"Invalid type for '{name}': expected {expected}, but got {json_type(value)} instead."
    return Refusal(Reason.TYPE_INVALID, message, name)


def json_type(value: object) -> str:
    """Return the JSON type of a decoded value, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int():
            return "an integer"
        case float():
            return "a decimal"
        case list():
            return "an array"
        case _:
            return "an object"


def file_too_large() -> Refusal:
    return Refusal(Reason.FILE_TOO_LARGE, "File is too large.")


def encoding_unknown(encoding: str, taken: Sequence[str]) -> Refusal:
    """Refuse an encoding, with the header that lists the accepted ones (RFC 9110, 15.5.16)."""
    words = f"Content-Encoding '{encoding}' is not supported. Supported are: {', '.join(taken)}."
    return Refusal(Reason.ENCODING_UNKNOWN, words, headers={"accept-encoding": ", ".join(taken)})


def file_not_jsonl(packing: str | None = None) -> Refusal:
    """Return OpenAI's text, followed by what to do with a compressed file."""
    words = "Invalid file format for Batch API. Must be .jsonl"
    advice = f". This file is a {packing} archive: unpack it and upload the .jsonl file." if packing else ""
    return Refusal(Reason.FILE_NOT_JSONL, words + advice)


def upload_not_pending(status: str) -> Refusal:
    return Refusal(Reason.UPLOAD_NOT_PENDING, f"The Upload is '{status}'; only a 'pending' one can be changed.")


def parts_unfit(words: str, param: str = "part_ids") -> Refusal:
    return Refusal(Reason.PARTS_UNFIT, words, param)


def batch_over(words: str, status: str) -> Refusal:
    """Refuse to change a batch that is over; `words` is the command: `cancel`, `pause`."""
    return Refusal(Reason.BATCH_OVER, f"Cannot {words} a batch with status '{status}'.")


def no_room(what: str) -> Refusal:
    words = "Running work continues. Delete files, or ask the operator to make space, then try again."
    return Refusal(Reason.NO_ROOM, f"{what} {words}")


def unavailable(what: str) -> Refusal:
    return Refusal(Reason.UNAVAILABLE, f"{what} Please try again shortly.")
