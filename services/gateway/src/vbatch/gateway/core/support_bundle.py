"""The content of a support bundle: facts about the server, and nothing that a client or an engine wrote.

Two filters protect it. Of a log line only numbers, ids and words from closed lists are kept; free text, which may quote
a prompt, is replaced by its length. In addition, texts that look like a secret, or are a known one, are masked in
everything that is written.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from vbatch.gateway.core.log_lines import Scalar, ServiceLine

MASK = "[secret]"
LINES_MAX = 5_000
EVENTS_COUNTED_MAX = 50_000
SECRET_CHARS_MIN = 8
"""A shorter text is not worth masking as a secret, and would be found everywhere."""
KEPT_NAMES = frozenset(
    {
        "aggregate",
        "cause",
        "code",
        "endpoint",
        "engine",
        "host",
        "key",
        "kind",
        "level",
        "method",
        "model",
        "place",
        "purpose",
        "route",
        "signal",
        "state",
        "status",
        "subject",
        "type",
    }
)
"""Keys of log lines whose values come from closed lists, are ids, or are names that an operator chose."""
CLIENTS_NAMES = frozenset({"custom_id"})
"""Keys that look like ids of ours but hold a client's text."""
_WORD = re.compile(r"[\w.:/@+,*<>=-]{1,160}")
_ERROR = re.compile(r"([A-Z][A-Za-z]+(?:Error|Exception|Refused|Unavailable|Rejected|Conflict|Full)): ")
_SECRETS = (
    re.compile(r"()\bsk-[A-Za-z0-9_-]{6,}"),
    re.compile(r"()\bwhsec_[A-Za-z0-9+/=_-]{6,}"),
    re.compile(r"()\bhf_[A-Za-z0-9]{10,}"),
    re.compile(r"()\bS[ACNOUX][A-Z2-7]{50,}"),
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}"),
    re.compile(r"(://)[^/\s@\"]+(?=@)"),
    re.compile(r"(?i)([?&](?:token|secret|key|password|signature)=)[^&\s\"]+"),
)
"""Patterns that look like a secret; the first group is kept."""

README = """A support bundle of a vLLM Batch Server.

It holds versions, settings without secrets, the state of each service, runners and models, counts of events, dead
letters, and the newest log lines. It holds no prompt, no answer, no API key: free text of log lines is replaced by its
length. Read it before you pass it on, as with anything that leaves your machine.
"""


@dataclass(frozen=True, slots=True)
class BundleFile:
    name: str
    text: str


def json_file(name: str, content: object) -> BundleFile:
    """`content` is anything that msgspec encodes."""
    return BundleFile(name, msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n")


def logs_file(name: str, lines: Collection[ServiceLine]) -> BundleFile:
    """Return the lines as JSON documents, one a line."""
    encoded = [msgspec.json.encode(_told(line)).decode() for line in lines]
    return BundleFile(name, "".join(f"{line}\n" for line in encoded))


def masked_file(file: BundleFile, secrets: Collection[str]) -> BundleFile:
    return BundleFile(file.name, masked(file.text, secrets))


def masked(text: str, secrets: Collection[str]) -> str:
    """Return the text without known secrets and without texts that look like one."""
    for secret in secrets:
        if len(secret) >= SECRET_CHARS_MIN:
            text = text.replace(secret, MASK)
    for pattern in _SECRETS:
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return text


def outline(text: str) -> str:
    """Return a free text reduced to its length and to the kind of error that it begins with."""
    found = _ERROR.match(text)
    kind = f"{found[1]}: " if found else ""
    return f"{kind}[{len(text)} characters left out]" if text else ""


def _told(line: ServiceLine) -> dict[str, Scalar]:
    head: dict[str, Scalar] = {"time": line.time, "service": line.service, "level": line.level}
    return head | {"event": _kept("kind", line.event)} | _details(line.details)


def _details(details: Mapping[str, Scalar]) -> dict[str, Scalar]:
    return {name: _kept(name, value) for name, value in details.items()}


def _kept(name: str, value: Scalar) -> Scalar:
    if not isinstance(value, str):
        return value
    is_known = name in KEPT_NAMES or (name.endswith(("_id", "_ids")) and name not in CLIENTS_NAMES)
    return value if is_known and _WORD.fullmatch(value) else outline(value)
