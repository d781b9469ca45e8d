"""Describes, in openapi.json, the routes that parse their requests themselves."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from vbatch.contracts import completion_window
from vbatch.contracts.access import OWNER_PATTERN, Quota, RateLimits, Scope
from vbatch.contracts.dry_run import LINES_DEFAULT, LINES_MAX
from vbatch.contracts.endpoints import BATCH_ENDPOINTS
from vbatch.contracts.events import Flaw
from vbatch.contracts.lifecycle import PRIORITY_MAX, PRIORITY_MIN
from vbatch.contracts.limits import MODELS_COUNT_MAX
from vbatch.contracts.webhooks import URL_CHARS_MAX
from vbatch.gateway.core import dry_run, keys, quotas, shapes, webhooks
from vbatch.gateway.core.batches import create_batch, retry
from vbatch.gateway.core.files import part_uploads, uploads
from vbatch.gateway.core.views import ErrorEnvelope, FileErrorEnvelope

Description = dict[str, Any]
"""A piece of an OpenAPI document: JSON, written by hand."""

WORDS = {
    400: "The ask is malformed.",
    401: "The API key is missing or wrong.",
    403: "The key has not the scope for this, or nobody may do it.",
    404: "There is no such object.",
    408: "The body did not arrive in time.",
    409: "The object's state forbids it; asking again will not help.",
    415: "The body is compressed in a way that is not taken.",
    416: "The range is outside of the file.",
    429: "Too much at once, ask again later; or more than the owner's quota.",
    500: "A fault of the server.",
    502: "The engine was lost while it answered.",
    503: "The event log, the read model or the file store is away; ask again. Or the model is not loaded.",
    504: "The engine did not answer in time.",
    507: "There is no room for new work; the message says where.",
}


ANYWHERE = (401, 403, 429, 500, 503)
"""The statuses that any route can return."""


def errors(*statuses: int) -> dict[int | str, Description]:
    """Return the error answers of a route; those that every route can give are added automatically."""
    return {status: {"model": ErrorEnvelope, "description": WORDS[status]} for status in sorted({*statuses, *ANYWHERE})}


def file_errors(*statuses: int) -> dict[int | str, Description]:
    """Return the same for the routes of files, whose error body has one more key."""
    return {status: each | {"model": FileErrorEnvelope} for status, each in errors(*statuses).items()}


def query(name: str, schema: Description, words: str) -> Description:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": words}


def header(name: str, words: str) -> Description:
    return {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": words}


def body(media_type: str, schema: Description, *, is_required: bool = True) -> Description:
    return {"required": is_required, "content": {media_type: {"schema": schema}}}


def text_answer(media_type: str, words: str, status: int = 200) -> dict[int | str, Description]:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {status: {"description": words, "content": content}}


STRING = {"type": "string"}
_SECONDS = {"type": "integer", "minimum": shapes.EXPIRY_SECONDS_MIN, "maximum": shapes.EXPIRY_SECONDS_MAX}
_ANCHOR = {"type": "string", "enum": [shapes.EXPIRY_ANCHOR]}
_EXPIRY: Description = {
    "type": ["object", "null"],
    "additionalProperties": False,
    "required": ["anchor", "seconds"],
    "properties": {"anchor": _ANCHOR, "seconds": _SECONDS},
}

_PRIORITY: Description = {"type": "integer", "minimum": PRIORITY_MIN, "maximum": PRIORITY_MAX}

CREATE_BATCH: Description = {
    "type": "object",
    "additionalProperties": False,
    "required": list(create_batch.REQUIRED),
    "properties": {
        "input_file_id": {
            "type": ["string", "null"],
            "maxLength": create_batch.FILE_ID_CHARS_MAX,
            "description": "Required, unless there are `requests`.",
        },
        "requests": {
            "type": ["array", "null"],
            "minItems": 1,
            "maxItems": create_batch.REQUESTS_MAX,
            "items": {"type": "object"},
            "description": "The lines of an input file, in place of `input_file_id`: the server makes the file.",
        },
        "endpoint": {"type": "string", "enum": list(BATCH_ENDPOINTS)},
        "completion_window": {
            "type": "string",
            "pattern": f"^{completion_window.PATTERN}$",
            "description": "OpenAI's `24h`, or any other from `1h` to `168h`.",
            "example": completion_window.DEFAULT,
        },
        "metadata": {
            "type": ["object", "null"],
            "maxProperties": create_batch.METADATA_PAIRS_MAX,
            "additionalProperties": {"type": "string", "maxLength": create_batch.METADATA_VALUE_CHARS_MAX},
        },
        "output_expires_after": _EXPIRY,
        "priority": _PRIORITY | {"type": ["integer", "null"], "default": 0},
        "models": {
            "type": ["array", "null"],
            "minItems": 1,
            "maxItems": MODELS_COUNT_MAX,
            "uniqueItems": True,
            "items": STRING,
            "description": "Run every line on each of these models, in a batch of its own; the first one is returned.",
        },
        "pause_on": {
            "type": ["object", "null"],
            "additionalProperties": False,
            "properties": {flaw.value: {"type": "number", "exclusiveMinimum": 0, "maximum": 1} for flaw in Flaw},
            "description": "Pause the batch when the share of its answers with one of these flaws reaches this.",
            "example": {"not_json": 0.1},
        },
        "dry_run": {
            "type": ["object", "null"],
            "additionalProperties": False,
            "description": "Create nothing: run a few lines now and estimate the cost of all.",
            "properties": {
                "lines": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": LINES_MAX,
                    "default": LINES_DEFAULT,
                },
                "prices": {
                    "type": ["object", "null"],
                    "additionalProperties": False,
                    "properties": {
                        name: {"type": ["number", "null"], "minimum": 0, "maximum": dry_run.PRICE_MAX}
                        for name in dry_run.PRICES
                    },
                },
            },
        },
    },
}
RETRY_BATCH: Description = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "select": {
            "type": ["array", "null"],
            "minItems": 1,
            "items": {"type": "string", "enum": list(retry.Unanswered)},
            "description": "Requests by what became of them; without it and `custom_ids`, all of these.",
        },
        "custom_ids": {
            "type": ["array", "null"],
            "minItems": 1,
            "maxItems": retry.CUSTOM_IDS_MAX,
            "items": {"type": "string", "maxLength": retry.CUSTOM_ID_CHARS_MAX},
            "description": "These requests, whatever became of them.",
        },
        "completion_window": {
            "type": ["string", "null"],
            "pattern": f"^{completion_window.PATTERN}$",
            "description": "That of the batch, unless given.",
        },
        "priority": _PRIORITY | {"type": ["integer", "null"], "description": "That of the batch, unless given."},
    },
}
_AMOUNT: Description = {"type": ["integer", "null"], "minimum": 0, "maximum": quotas.AMOUNT_MAX}
CREATE_KEY: Description = {
    "type": "object",
    "additionalProperties": False,
    "required": list(keys.CREATE_REQUIRED),
    "properties": {
        "owner": {"type": "string", "pattern": f"^{OWNER_PATTERN.pattern}$"},
        "name": {"type": "string", "minLength": 1, "maxLength": keys.NAME_CHARS_MAX},
        "scopes": {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(Scope)}},
        "expires_at": {"type": ["integer", "null"], "description": "Unix seconds; without it the key does not expire."},
    },
}
ROTATE_KEY: Description = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "keep_old_for_hours": {
            "type": ["integer", "null"],
            "minimum": 0,
            "maximum": keys.KEEP_HOURS_MAX,
            "default": keys.KEEP_HOURS_DEFAULT,
        }
    },
}
SET_QUOTA: Description = {
    "type": "object",
    "additionalProperties": False,
    "properties": {name: _AMOUNT for name in Quota.__struct_fields__ if name != "priority_max"}
    | {"priority_max": _PRIORITY | {"type": ["integer", "null"]}},
}
CHANGE_LIMITS: Description = {
    "type": "object",
    "additionalProperties": False,
    "properties": {name: _AMOUNT | {"type": "integer"} for name in RateLimits.__struct_fields__},
}
PAUSE_QUEUE: Description = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"reason": {"type": ["string", "null"], "maxLength": keys.REASON_CHARS_MAX}},
}
_WEBHOOK_FIELDS: Description = {
    "name": {"type": "string", "minLength": 1, "maxLength": webhooks.NAME_CHARS_MAX},
    "url": {"type": "string", "maxLength": URL_CHARS_MAX, "example": "https://example.com/hook"},
    "event_types": {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "enum": list(webhooks.EVENT_TYPES)},
    },
}
CREATE_WEBHOOK: Description = {
    "type": "object",
    "additionalProperties": False,
    "required": list(_WEBHOOK_FIELDS),
    "properties": _WEBHOOK_FIELDS,
}
UPDATE_WEBHOOK: Description = {"type": "object", "additionalProperties": False, "properties": _WEBHOOK_FIELDS}
ROTATE_WEBHOOK_SECRET: Description = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"keep_old_secret_active_for_24_hours": {"type": "boolean", "default": False}},
}
TEST_WEBHOOK: Description = {
    "type": "object",
    "additionalProperties": False,
    "required": ["event_type"],
    "properties": {"event_type": {"type": "string", "enum": list(webhooks.EVENT_TYPES)}},
}
CHECK_FILE: Description = {
    "type": "object",
    "additionalProperties": False,
    "required": ["endpoint"],
    "properties": {"endpoint": {"type": "string", "enum": list(BATCH_ENDPOINTS)}},
}
UPDATE_BATCH: Description = {
    "type": "object",
    "additionalProperties": False,
    "required": ["priority"],
    "properties": {"priority": _PRIORITY},
}
UPLOAD: Description = {
    "type": "object",
    "required": ["purpose", "file"],
    "properties": {
        "purpose": {"type": "string", "enum": list(uploads.PURPOSES)},
        "expires_after[anchor]": _ANCHOR,
        "expires_after[seconds]": _SECONDS,
        "file": {"type": "string", "format": "binary"},
    },
}
CREATE_UPLOAD: Description = {
    "type": "object",
    "additionalProperties": False,
    "required": list(part_uploads.CREATE_REQUIRED),
    "properties": {
        "bytes": {"type": "integer", "minimum": 1, "maximum": part_uploads.UPLOAD_BYTES_MAX},
        "filename": STRING,
        "mime_type": {"type": "string", "maxLength": part_uploads.MIME_TYPE_CHARS_MAX},
        "purpose": {"type": "string", "enum": list(uploads.PURPOSES)},
        "expires_after": _EXPIRY,
    },
}
UPLOAD_PART: Description = {
    "type": "object",
    "required": ["data"],
    "properties": {"data": {"type": "string", "format": "binary"}},
}
COMPLETE_UPLOAD: Description = {
    "type": "object",
    "additionalProperties": False,
    "required": list(part_uploads.COMPLETE_REQUIRED),
    "properties": {
        "part_ids": {"type": "array", "items": STRING, "minItems": 1, "maxItems": part_uploads.PARTS_MAX},
        "md5": {"type": ["string", "null"], "pattern": "^[0-9A-Fa-f]{32}$"},
    },
}


def describe(app: FastAPI) -> None:
    """Describe the routes in openapi.json: FastAPI would list a 422 that none of them ever returns."""

    def document() -> Description:
        if app.openapi_schema is None:
            app.openapi_schema = _without_422(
                get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            )
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # the documented way to change the document


def _without_422(document: Description) -> Description:
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    return document
