"""One byte range of a download (RFC 9110, 14). A request for several ranges gets the whole file."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vbatch.gateway.core.refusals import Reason, Refusal

_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from `start` up to, but not including, `end`."""

    start: int
    end: int


def read_range(header: str | None, size: int) -> ByteRange | None:
    """Parse a Range header; None: send everything. Raises Refusal for a range that the file does not have."""
    match = _ONE_RANGE.fullmatch((header or "").strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end and not (first and last and int(last) < int(first)):
        words = f"The file has {size} bytes; the range '{header}' is outside of it."
        raise Refusal(Reason.RANGE_UNSATISFIABLE, words, headers={"content-range": f"bytes */{size}"})
    return ByteRange(start, end) if start < end else None
