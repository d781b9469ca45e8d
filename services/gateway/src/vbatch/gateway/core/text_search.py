"""Full-text search in the lines of a batch without an index: where a text can be in JSON, and whether it is there.

A scan looks for the bytes that JSON may write the text as, which is fast and finds too much: keys, ids, other fields.
Each line it finds is then decoded, and counts only if its `custom_id`, or the text of its answer or of its prompt,
contains the words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import msgspec

from vbatch.contracts.previews import answer_text, content_text, request_text
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.core.shapes import bounded_string

WORDS_CHARS_MAX = 256
HITS_MAX = 20_000
"""The most lines that one search finds; the search that continues it finds the others."""
CANDIDATES_MAX = 200_000
"""The most lines that one search decodes."""
SEARCHED_BYTES_MAX = 1 << 30
"""The most bytes that one search reads. All three bounds depend on the bytes alone, so that repeating a search gives
the same result."""
DIGITS_MAX = 18
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Side(StrEnum):
    """Where to look for the words."""

    ANSWERS = "answers"
    REQUESTS = "requests"


class Place(NamedTuple):
    """Where a line begins, and how many lines come before it in what is searched."""

    start: int
    lines_before: int


BEGINNING = Place(0, 0)


@dataclass(frozen=True, slots=True)
class SearchParams:
    """Lines whose answer or request, or `custom_id`, contains `words`; the scan begins at `place`."""

    words: str
    side: Side = Side.ANSWERS
    place: Place = BEGINNING


@dataclass(frozen=True, slots=True)
class Found:
    """What a scan found: in answers where the lines start, in requests the numbers of the lines. `next` is where the
    scan continues; None when it reached the end."""

    hits: Sequence[int]
    searched_to: int
    total_bytes: int
    next: Place | None


class Words:
    """A text in the forms that it can have in JSON. Case is ignored: for ASCII letters in any mixture; other letters
    match as they are written, all lower case, all upper case, or with an initial capital."""

    def __init__(self, text: str) -> None:
        self._folded = text.casefold()
        spellings = {text, text.lower(), text.upper(), text.capitalize()}
        self.encodings = sorted({encoded for spelling in spellings for encoded in _encodings(spelling)})

    def are_in(self, text: str) -> bool:
        return self._folded in text.casefold()


@dataclass
class Scan:
    """Scans whole lines, block by block. `candidates` and `hits` are those so far."""

    words: Words
    side: Side
    place: Place
    hits: list[int] = field(default_factory=list)
    candidates: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.hits) >= HITS_MAX or self.candidates >= CANDIDATES_MAX

    def over(self, block: bytes) -> None:
        """Scan a block of lines that follow the lines before; a block without its last newline must be the last one.
        The scan stops when it is full, after the line that filled it."""
        reached = 0
        for start, end in _spans(block, self.words.encodings):
            self._move(block, reached, start)
            self._look(block[start:end])
            reached = start
            if self.is_full:
                self._move(block, reached, min(len(block), end + 1))
                return
        self._move(block, reached, len(block))

    def _look(self, line: bytes) -> None:
        """Check the line at which the scan is."""
        self.candidates += 1
        if self.words.are_in(_text(line, self.side)):
            is_answer = self.side is Side.ANSWERS
            self.hits.append(self.place.start if is_answer else self.place.lines_before + 1)

    def _move(self, block: bytes, start: int, end: int) -> None:
        lines = block.count(b"\n", start, end)
        self.place = Place(self.place.start + end - start, self.place.lines_before + lines)


def parse_search_params(query: Mapping[str, str]) -> SearchParams | None:
    """Parse the query; None if it contains no words. Raises Refusal."""
    words = bounded_string(query.get("contains", ""), "contains", WORDS_CHARS_MAX)
    if not words:
        return None
    return SearchParams(words, _side(query), _place(query))


def place_text(place: Place | None) -> str | None:
    return f"{place.start}-{place.lines_before}" if place is not None else None


def _side(query: Mapping[str, str]) -> Side:
    wanted = query.get("search_in", Side.ANSWERS.value)
    if wanted not in tuple(Side):
        message = f"Invalid value: '{wanted}'. Supported values are: 'answers', and 'requests'."
        raise Refusal(Reason.VALUE_INVALID, message, "search_in")
    return Side(wanted)


def _place(query: Mapping[str, str]) -> Place:
    text = query.get("search_after", "0-0")
    numbers = text.split("-")
    if len(numbers) != 2 or not all(each.isascii() and each.isdigit() and len(each) <= DIGITS_MAX for each in numbers):
        raise Refusal(Reason.VALUE_INVALID, f"Invalid value: '{text}'. Give the `next` of a search.", "search_after")
    return Place(int(numbers[0]), int(numbers[1]))


def _encodings(text: str) -> Iterator[bytes]:
    """Yield the text as JSON, with and without escapes beyond ASCII; ASCII letters in lower case."""
    for is_ascii in (True, False):
        written = json.dumps(text, ensure_ascii=is_ascii)[1:-1]
        yield written.encode(errors="replace").lower()


def _spans(block: bytes, encodings: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Yield where each line that contains one of the encodings starts and ends, in order."""
    small = block.lower()
    ends = {encoding: small.find(encoding) for encoding in encodings}
    while hits := [place for place in ends.values() if place >= 0]:
        place = min(hits)
        start = small.rfind(b"\n", 0, place) + 1
        end = small.find(b"\n", place)
        end = len(small) if end < 0 else end
        yield start, end
        for encoding, found in ends.items():
            if 0 <= found < end:
                ends[encoding] = small.find(encoding, end)


def _text(line: bytes, side: Side) -> str:
    try:
        decoded = msgspec.json.decode(line.removeprefix(BYTE_ORDER_MARK))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    if not isinstance(decoded, dict):
        return ""
    said = (answer_text(decoded) or "") if side is Side.ANSWERS else _asked(decoded)
    return f"{decoded.get('custom_id', '')}\n{said}"


def _asked(line: dict[str, object]) -> str:
    """Return all text in a request, whatever its role."""
    body = line.get("body")
    if not isinstance(body, dict):
        return ""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return request_text(body) or ""
    said = [content_text(message.get("content")) for message in messages if isinstance(message, dict)]
    return "\n".join(text for text in said if text)
