"""What a body may make the engine do besides computing: fetch media from the hosts that its model names, and run a chat
template of its own where its model allows that.

The engine is started with the same limits; here a line learns of its fault before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from vbatch.contracts.failures import FileFault
from vbatch.contracts.models import Trust
from vbatch.scheduler.core.planning.request_line import ABSENT, NULL_RAW, Body, Unfit

CONTENT_FIELDS = (
    "messages", "prompt", "input", "query", "queries", "documents", "items", "text_1", "text_2", "data_1", "data_2",
)  # fmt: skip
"""The places where parts of a message may be. The schema or metadata of a tool may have keys of the same names."""
URL_KEYS = frozenset({"image_url", "audio_url", "video_url", "file_url"})
_ESCAPED_ASCII = re.compile(rb"\\u00[2-7]")
"""A key may be written with escapes."""
_FETCHED = re.compile(r"https?://([a-z0-9.-]+)(:\d+)?([/?#][^\s\\]*)?", re.IGNORECASE)
"""No user, no address in brackets, no backslash: nothing that two parsers could read in two ways."""
SHOWN_CHARS_MAX = 100


def may_reach(raw: bytes) -> bool:
    """Whether the JSON may have a key that `check_reach` looks for. Nearly no line has one, and this costs less."""
    return b'_url"' in raw or b"chat_template" in raw or (b"\\u00" in raw and bool(_ESCAPED_ASCII.search(raw)))


def check_reach(body: Body, trust: Trust) -> None:
    """Check that the body stays within the trust. Raises Unfit."""
    if not trust.has_chat_templates and _has_template(body):
        message = (
            "A chat_template in a request is not taken: its model must have trust-request-chat-template in models.toml."
        )
        raise Unfit(FileFault.INVALID_REQUEST, message, "body.chat_template")
    for field in CONTENT_FIELDS:
        for url in _urls(bytes(getattr(body, field))):
            if not _may_be_read(url, trust):
                raise Unfit(FileFault.INVALID_REQUEST, _not_fetched(url, trust), f"body.{field}")


def _has_template(body: Body) -> bool:
    if body.chat_template not in (ABSENT, NULL_RAW):
        return True
    arguments = body.chat_template_kwargs
    if arguments in (ABSENT, NULL_RAW):
        return False
    try:
        return msgspec.json.decode(arguments, type=_Arguments).chat_template is not None
    except (msgspec.DecodeError, RecursionError):
        return False  # the engine will refuse it


class _Arguments(msgspec.Struct):
    """vLLM takes a template from these arguments, too."""

    chat_template: object = None


def _urls(raw: bytes) -> Iterator[str]:
    """The URL of every part that names one, at any depth."""
    if not may_reach(raw):
        return
    left: list[object] = [msgspec.json.decode(raw)]
    while left:
        match left.pop():
            case dict() as part:
                yield from (
                    url for key, value in part.items() if key in URL_KEYS and (url := _url_of(value)) is not None
                )
                left += part.values()
            case list() as parts:
                left += parts


def _url_of(value: object) -> str | None:
    """The URL in `{"url": …}`, as in chat, or the value itself if it is a URL."""
    url = value.get("url") if isinstance(value, dict) else value
    return url if isinstance(url, str) else None


def _may_be_read(url: str, trust: Trust) -> bool:
    if url[:5].lower() == "data:":
        return True
    found = _FETCHED.fullmatch(url)
    return found is not None and found[1].lower() in trust.media_hosts


def _not_fetched(url: str, trust: Trust) -> str:
    shown = url if len(url) <= SHOWN_CHARS_MAX else f"{url[:SHOWN_CHARS_MAX]}..."
    hosts = ", ".join(sorted(trust.media_hosts)) or "no host"
    advice = "Send it as a data: URL, or have its host named in allowed-media-domains of the model in models.toml."
    return f"'{shown}' is not fetched: for this model {hosts} may be asked. {advice}"
