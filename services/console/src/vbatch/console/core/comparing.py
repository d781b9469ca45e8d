"""Answers side by side: which batches, and which words of an answer are missing in the answer it is compared with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from vbatch.console.core.reading_objects import ComparedAnswer, ComparedLine, Share

BATCHES_MAX = 6
WORDS_MAX = 400
"""Only the beginning of a longer answer is compared word by word."""
IDS_CHARS_MAX = 500
PICKED = "with"
CHOICES = ("all", "different", "failed")
_WORD = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Part:
    """Text that is in both answers, or only in this one."""

    text: str
    is_different: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """One answer; None if a batch has none. `parts` are its text, with the differences from the first answer marked."""

    answer: ComparedAnswer | None
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Row:
    line: ComparedLine
    cells: tuple[Cell, ...]


def ids_asked(query: Mapping[str, str], picked: Sequence[str] = ()) -> list[str]:
    """Return the batches of an address: those in `batches`, then those that a form picked."""
    named = query.get("batches", "")[:IDS_CHARS_MAX].split(",")
    return list(dict.fromkeys(each.strip() for each in (*named, *picked) if each.strip()))[:BATCHES_MAX]


def row_of(line: ComparedLine) -> Row:
    """Return a row; the first answer is the one with which the others are compared."""
    first = line.answers[0] if line.answers else None
    return Row(line, tuple(_cell(answer, first) for answer in line.answers))


def differences(text: str, other: str) -> tuple[Part, ...]:
    """Return `text` in parts; parts that `other` does not have at this place are marked."""
    words, others = _WORD.findall(text)[:WORDS_MAX], _WORD.findall(other)[:WORDS_MAX]
    rest = text[len("".join(words)) :]
    return tuple(_merged(_compared(words, others, rest)))


def share_words(share: Share | None) -> str:
    """Return a text such as `83 % (77 % to 88 %)`."""
    if share is None:
        return "the reference"
    if share.share is None or share.low is None or share.high is None:
        return "nothing shared yet"
    return f"{100 * share.share:.0f} % ({100 * share.low:.0f} % to {100 * share.high:.0f} %)"


def _cell(answer: ComparedAnswer | None, first: ComparedAnswer | None) -> Cell:
    text = answer.text if answer is not None else None
    if text is None:
        return Cell(answer, ())
    if answer is first or first is None or first.text is None or answer is None or answer.agrees:
        return Cell(answer, (Part(text, False),))
    return Cell(answer, differences(text, first.text))


def _compared(words: Sequence[str], others: Sequence[str], rest: str) -> Iterator[Part]:
    matcher = SequenceMatcher(None, others, words, autojunk=False)
    for tag, _, _, begin, end in matcher.get_opcodes():
        if begin < end:
            yield Part("".join(words[begin:end]), tag != "equal")
    if rest:
        yield Part(rest, False)


def _merged(parts: Iterator[Part]) -> Iterator[Part]:
    """Join successive parts of one kind."""
    held: Part | None = None
    for part in parts:
        if held is not None and held.is_different == part.is_different:
            held = Part(held.text + part.text, held.is_different)
            continue
        if held is not None:
            yield held
        held = part
    if held is not None:
        yield held
