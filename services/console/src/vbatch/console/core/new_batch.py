"""The form of a new batch: its fields, and the API request it becomes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from vbatch.contracts.endpoints import BATCH_ENDPOINTS, CHAT_COMPLETIONS
from vbatch.contracts.events import Flaw
from vbatch.contracts.lifecycle import PRIORITY_MAX, PRIORITY_MIN

WINDOW_DEFAULT = "24h"
WINDOWS = ("1h", "6h", "12h", "24h", "48h", "72h", "168h")
NAME_CHARS_MAX = 200
ID_CHARS_MAX = 256
MODELS_MAX = 16
PAUSE_PREFIX = "pause_on_"

SAMPLE_QUESTIONS = (
    "What is the capital of France? Answer with one word.",
    "Translate into German: Good morning!",
    "Name three uses of a paperclip.",
)
SAMPLE = "\n".join(
    json.dumps(
        {
            "custom_id": f"sample-{index}",
            "method": "POST",
            "url": CHAT_COMPLETIONS,
            "body": {"model": "MODEL", "messages": [{"role": "user", "content": question}], "max_tokens": 64},
        }
    )
    for index, question in enumerate(SAMPLE_QUESTIONS, start=1)
)
"""Three lines to begin with; MODEL is a placeholder for a model of the server."""


class Misfilled(ValueError):
    """The text says which field is wrong and how to fill it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """`endpoint` is empty if the first line of the file decides it."""

    lines: str = ""
    endpoint: str = ""
    window: str = WINDOW_DEFAULT
    priority: int = 0
    name: str = ""


class _FirstLine(msgspec.Struct):
    url: str


def read_draft(fields: Mapping[str, str]) -> Draft:
    """Read the form; errors in fields other than the lines are reported when the batch is made."""
    endpoint, window = fields.get("endpoint", ""), fields.get("window", WINDOW_DEFAULT)
    try:
        priority = read_priority(fields.get("priority", "0"))
    except Misfilled:
        priority = 0
    return Draft(
        lines=fields.get("lines", ""),
        endpoint=endpoint if endpoint in BATCH_ENDPOINTS else "",
        window=window if window in WINDOWS else WINDOW_DEFAULT,
        priority=priority,
        name=fields.get("name", "").strip()[:NAME_CHARS_MAX],
    )


def endpoint_of(first_line: bytes) -> str:
    """Return the endpoint that the first request names; chat completions if it names no known endpoint, so that the
    check reports what is wrong with it."""
    try:
        url = msgspec.json.decode(first_line.removeprefix(b"\xef\xbb\xbf"), type=_FirstLine).url
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return CHAT_COMPLETIONS
    return url if url in BATCH_ENDPOINTS else CHAT_COMPLETIONS


def read_priority(text: str) -> int:
    """Raises Misfilled."""
    try:
        priority = int(text.strip() or "0")
    except ValueError:
        priority = PRIORITY_MAX + 1
    if not PRIORITY_MIN <= priority <= PRIORITY_MAX:
        raise Misfilled(f"A priority is a whole number from {PRIORITY_MIN} to {PRIORITY_MAX}.")
    return priority


def create_body(fields: Mapping[str, str], models: Sequence[str] = ()) -> dict[str, object]:
    """Return the body of `POST /v1/batches`; with `models` it makes a batch for each of them. Raises Misfilled."""
    file_id = fields.get("file_id", "")[:ID_CHARS_MAX]
    if not file_id or not fields.get("idempotency_key"):
        raise Misfilled("The form is not whole: begin again with the file.")
    ask: dict[str, object] = {
        "input_file_id": file_id,
        "endpoint": fields.get("endpoint", CHAT_COMPLETIONS),
        "completion_window": fields.get("window", WINDOW_DEFAULT),
        "priority": read_priority(fields.get("priority", "0")),
    }
    name = fields.get("name", "").strip()[:NAME_CHARS_MAX]
    shares = pause_shares(fields)
    ask |= {"models": [model[:ID_CHARS_MAX] for model in models[:MODELS_MAX]]} if models else {}
    ask |= {"pause_on": shares} if shares else {}
    return ask | ({"metadata": {"name": name}} if name else {})


def pause_shares(fields: Mapping[str, str]) -> dict[str, float]:
    """Return the shares of bad answers at which the batch pauses, from percentages. Raises Misfilled."""
    given = {flaw: fields.get(f"{PAUSE_PREFIX}{flaw}", "").strip() for flaw in Flaw}
    return {flaw.value: _share(text) for flaw, text in given.items() if text}


def _share(text: str) -> float:
    try:
        percent = float(text)
    except ValueError:
        percent = 0.0
    if not 1 <= percent <= 100:
        raise Misfilled("A share of answers is a number of percent from 1 to 100.")
    return percent / 100
