"""The closed lists of reasons: why a file is refused, why a request has no answer, why a slice came back."""

from __future__ import annotations

from enum import StrEnum


class FileFault(StrEnum):
    """`errors.data[].code` of a failed batch. A code is OpenAI's if OpenAI has one."""

    INVALID_JSON_LINE = "invalid_json_line"
    MISSING_REQUIRED_PARAMETER = "missing_required_parameter"
    INVALID_REQUEST = "invalid_request"
    DUPLICATE_CUSTOM_ID = "duplicate_custom_id"
    INVALID_URL = "invalid_url"
    INVALID_METHOD = "invalid_method"
    MISMATCHED_MODEL = "mismatched_model"
    MODEL_NOT_FOUND = "model_not_found"
    STREAMING_UNSUPPORTED = "streaming_unsupported"
    EMPTY_FILE = "empty_file"
    TOO_MANY_TASKS = "too_many_tasks"
    LINE_TOO_LONG = "line_too_long"


class RequestFault(StrEnum):
    """`error.code` of a line without an HTTP answer. The first three are OpenAI's; the others are ours (documented)."""

    BATCH_EXPIRED = "batch_expired"
    BATCH_CANCELLED = "batch_cancelled"
    REQUEST_TIMEOUT = "request_timeout"
    ENGINE_CRASHED = "engine_crashed"
    MODEL_UNAVAILABLE = "model_unavailable"
    UNREADABLE_ANSWER = "unreadable_answer"


class ReturnReason(StrEnum):
    """Why a runner returns unfinished lines."""

    CANCELLED = "cancelled"
    PREEMPTED = "preempted"
    ENGINE_DIED = "engine_died"
    MODEL_FAILED = "model_failed"
    INPUT_UNREADABLE = "input_unreadable"
    STOPPING = "stopping"


REQUEST_FAULT_MESSAGES: dict[RequestFault, str] = {
    RequestFault.BATCH_EXPIRED: "This request could not be executed before the completion window expired.",
    RequestFault.BATCH_CANCELLED: "This request was not executed because the batch was cancelled.",
    RequestFault.REQUEST_TIMEOUT: "This request did not finish within its time limit.",
    RequestFault.ENGINE_CRASHED: "The engine crashed each time it ran this request.",
    RequestFault.MODEL_UNAVAILABLE: "The model of this request could not be loaded.",
    RequestFault.UNREADABLE_ANSWER: "The engine's answer to this request was not valid JSON.",
}
