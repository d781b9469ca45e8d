"""The rules of an upload: purposes, sizes, expiry, and the content of a batch file."""

from __future__ import annotations

import re
from collections.abc import Mapping

from vbatch.gateway.core.refusals import (
    Reason,
    Refusal,
    file_not_jsonl,
    file_too_large,
    parameter_missing,
)
from vbatch.gateway.core.shapes import checked_expiry, integer_of_text

BATCH = "batch"
PURPOSES = ("fine-tune", "assistants", BATCH, "user_data", "vision", "evals")
NOT_DOWNLOADABLE = frozenset({"assistants", "user_data", "vision"})
BATCH_FILE_BYTES_MAX = 209_715_200
"""OpenAI's limit; a server may be set to accept more."""
FILE_BYTES_MAX = 512 * 1024 * 1024
BATCH_FILE_SECONDS = 2_592_000
FILENAME_CHARS_MAX = 255
FILENAME_DEFAULT = "upload"
EXPIRY_FIELDS = {"expires_after[anchor]": "anchor", "expires_after[seconds]": "seconds"}
FIELDS = frozenset({"purpose", *EXPIRY_FIELDS})
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
PACKINGS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"PK\x03\x04": "ZIP",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
}
"""The first bytes of files in these formats."""
MAGIC_BYTES = max(map(len, PACKINGS))
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class JsonlProbe:
    """Whether the content so far could be JSONL: the first byte that is not blank begins an object."""

    def __init__(self) -> None:
        self._magic = b""
        self._head = b""
        self._first: bytes = b""

    def feed(self, piece: bytes) -> None:
        if len(self._magic) < MAGIC_BYTES:
            self._magic += piece[: MAGIC_BYTES - len(self._magic)]
        if self._first:
            return
        # A byte order mark may arrive in pieces; blank bytes need not be kept.
        self._head = (self._head + piece).removeprefix(BYTE_ORDER_MARK).lstrip(b" \t\r\n")
        if not BYTE_ORDER_MARK.startswith(self._head):
            self._first = self._head[:1]
            self._head = b""

    @property
    def is_jsonl(self) -> bool:
        return self._first == b"{"

    @property
    def packing(self) -> str | None:
        """Return the format of an archive, according to its first bytes."""
        return next((name for magic, name in PACKINGS.items() if self._magic.startswith(magic)), None)


def bytes_max(purpose: str | None, batch_bytes_max: int) -> int:
    """Return the size limit of a file, whether or not its purpose is known yet."""
    if purpose is None:
        return max(FILE_BYTES_MAX, batch_bytes_max)
    return batch_bytes_max if purpose == BATCH else FILE_BYTES_MAX


def check_size(size: int, purpose: str | None, batch_bytes_max: int = BATCH_FILE_BYTES_MAX) -> None:
    if size > bytes_max(purpose, batch_bytes_max):
        raise file_too_large()


def check_content(purpose: str, look: JsonlProbe) -> None:
    """Check a batch file by its content only; its name and MIME type are ignored."""
    if purpose == BATCH and not look.is_jsonl:
        raise file_not_jsonl(look.packing)


def read_purpose(fields: Mapping[str, str]) -> str:
    purpose = fields.get("purpose")
    if purpose is None:
        raise parameter_missing("purpose")
    return known_purpose(purpose)


def known_purpose(purpose: str) -> str:
    """Return the purpose if it is known. Raises Refusal."""
    if purpose not in PURPOSES:
        words = f"'{purpose}' is not one of [{', '.join(map(repr, PURPOSES))}] - 'purpose'"
        raise Refusal(Reason.PURPOSE_UNKNOWN, words, "purpose")
    return purpose


def expiry_of(fields: Mapping[str, str], purpose: str) -> int | None:
    """Return the seconds from creation to expiry; a batch file without an expiry rule is kept for 30 days."""
    given: dict[str, object] = {key: fields[name] for name, key in EXPIRY_FIELDS.items() if name in fields}
    if not given:
        return default_expiry(purpose)
    anchor_name, seconds_name = EXPIRY_FIELDS
    if "seconds" in given:
        given["seconds"] = integer_of_text(fields[seconds_name], seconds_name)
    return checked_expiry(given, anchor_name, seconds_name)


def default_expiry(purpose: str) -> int | None:
    return BATCH_FILE_SECONDS if purpose == BATCH else None


def clean_filename(name: str) -> str:
    """Return the last part of the client's file name, printable and bounded."""
    base = re.split(r"[/\\]", name.replace("%22", '"'))[-1]
    return _UNPRINTABLE.sub("", base)[:FILENAME_CHARS_MAX] or FILENAME_DEFAULT
