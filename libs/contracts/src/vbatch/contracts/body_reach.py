"""What a body may make the engine do besides computing: fetch media from the hosts that its model allows, and run its
own chat template if its model allows that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from vbatch.contracts.models import Trust

CONTENT_FIELDS = (
    "messages", "prompt", "input", "query", "queries", "documents", "items", "text_1", "text_2", "data_1", "data_2",
)  # fmt: skip
"""The places where parts of a message may be. The schema or the metadata of a tool may contain keys with the same
names."""
TEMPLATE, TEMPLATE_ARGUMENTS = "chat_template", "chat_template_kwargs"
URL_KEYS = frozenset({"image_url", "audio_url", "video_url", "file_url"})
_ESCAPED_ASCII = re.compile(rb"\\u00[2-7]")
"""A key may be written with escapes."""
_FETCHED = re.compile(r"https?://([a-z0-9.-]+)(:\d+)?([/?#][^\s\\]*)?", re.IGNORECASE)
"""It allows no user, no address in brackets and no backslash, so no two parsers can read the URL differently."""
SHOWN_CHARS_MAX = 100
ABSENT = (b"", b"null")


class BeyondTrust(Exception):
    """The body asks for more than its model allows. `field` says where."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field, self.message = field, message


def may_reach(raw: bytes) -> bool:
    """Return whether the JSON may have a key that `check_within` looks for. Almost no body has one, and this check is
    cheaper."""
    return b'_url"' in raw or b"chat_template" in raw or (b"\\u00" in raw and bool(_ESCAPED_ASCII.search(raw)))


def check_within(trust: Trust, fields: Mapping[str, msgspec.Raw]) -> None:
    """Check the fields that are present in a body, as they are written. Raises BeyondTrust."""
    if not trust.has_chat_templates and _has_template(fields):
        message = (
            "A chat_template in a request is not taken: its model must have trust-request-chat-template in models.toml."
        )
        raise BeyondTrust(TEMPLATE, message)
    for field, raw in fields.items():
        for url in _urls(bytes(raw)) if field in CONTENT_FIELDS else ():
            if not _may_be_read(url, trust):
                raise BeyondTrust(field, _not_fetched(url, trust))


def _has_template(fields: Mapping[str, msgspec.Raw]) -> bool:
    if bytes(fields.get(TEMPLATE, b"")) not in ABSENT:
        return True
    arguments = fields.get(TEMPLATE_ARGUMENTS, msgspec.Raw(b""))
    if bytes(arguments) in ABSENT:
        return False
    try:
        return msgspec.json.decode(arguments, type=_Arguments).chat_template is not None
    except (msgspec.DecodeError, RecursionError):
        return False  # the engine will refuse it


class _Arguments(msgspec.Struct):
    """vLLM takes a template from these arguments as well."""

    chat_template: object = None


def _urls(raw: bytes) -> Iterator[str]:
    """Yield the URL of every part that names one, at any depth."""
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
    """Return the URL in `{"url": …}`, as in chat, or the value itself if it is a URL."""
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
