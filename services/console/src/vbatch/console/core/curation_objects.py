"""Objects of the API about judging: the judgements of people and models, and the data sets made from them."""

from __future__ import annotations

import msgspec

from vbatch.contracts.curation import Verdict, Vote


class Judgement(msgspec.Struct, frozen=True):
    """A judgement of one answer; or of two, if `other_batch_id`, `other_line` and `vote` are set."""

    id: str
    sequence: int
    batch_id: str
    line: int
    judge: str
    source: str
    created_at: int
    other_batch_id: str | None = None
    other_line: int | None = None
    vote: Vote | None = None
    verdict: Verdict | None = None
    score: float | None = None
    tags: tuple[str, ...] = ()
    note: str = ""
    edited: str | None = None


class JudgementPage(msgspec.Struct, frozen=True):
    data: tuple[Judgement, ...]
    has_more: bool
    last_sequence: int | None


class Statistics(msgspec.Struct, frozen=True):
    answers: int = 0
    good: int = 0
    bad: int = 0
    edited: int = 0
    pairs: int = 0
    agreement: float | None = None


class Dataset(msgspec.Struct, frozen=True):
    """One version; it never changes."""

    name: str
    version: int
    made_by: str
    bytes: int
    sha256: str
    created_at: int
    statistics: Statistics


class DatasetList(msgspec.Struct, frozen=True):
    data: tuple[Dataset, ...]
