"""The terms of curation: what a judgement says about an answer, and which judged answers a data set holds."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

import msgspec

from vbatch.contracts import limits
from vbatch.contracts.bounds import Items, Name, Text
from vbatch.contracts.ids import BatchId

SCORE_MIN, SCORE_MAX = 1.0, 5.0
TAGS_COUNT_MAX = 16
NOTE_BYTES_MAX = 4 * 1024
EDITED_BYTES_MAX = 64 * 1024
"""The limit of an edited answer. In JSON it may need six times as many bytes."""
BATCHES_COUNT_MAX = 16
"""The batches from which one data set may draw."""
CHOICES_COUNT_MAX = 32
"""The judges, sources or tags that a selection may name."""
COUNTS_COUNT_MAX = 64
"""The entries of one statistic by model, by judge or by reason."""
DATASET_NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

Tags = Annotated[tuple[limits.Word, ...], Items(TAGS_COUNT_MAX)]
Note = Annotated[str, Text(NOTE_BYTES_MAX)]
EditedAnswer = Annotated[str, Name(EDITED_BYTES_MAX)]
BatchIds = Annotated[tuple[BatchId, ...], Items(BATCHES_COUNT_MAX)]
Choices = Annotated[tuple[limits.Word, ...], Items(CHOICES_COUNT_MAX)]


class Verdict(StrEnum):
    """Whether an answer may be used for training."""

    GOOD = "good"
    BAD = "bad"
    UNSURE = "unsure"


class Vote(StrEnum):
    """Which of two answers to one prompt is better."""

    A = "a"
    B = "b"
    TIE = "tie"


class JudgementSource(StrEnum):
    """Where a judgement came from."""

    API = "api"
    CONSOLE = "console"
    IMPORT = "import"
    LABEL_STUDIO = "label_studio"
    MODEL = "model"


class PairOrigin(StrEnum):
    """What makes one answer better than another."""

    VOTE = "vote"
    """A judge compared the two."""
    EDIT = "edit"
    """A judge wrote a better answer."""
    CONTRAST = "contrast"
    """Of two answers to one prompt, one is good and the other is bad."""


class Selection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which judged answers a data set takes, and how it splits them. Empty lists and None select everything.

    `good_score_min` and `bad_score_max` turn a score into a verdict where no judge gave one. Prompts whose estimated
    Jaccard similarity reaches `near_duplicate` always share a split. Shares are between 0 and 1.
    """

    batch_ids: BatchIds
    judges: Choices = ()
    sources: Choices = ()
    tags: Choices = ()
    pair_origins: Choices = ()
    score_min: float | None = None
    good_score_min: float = 4.0
    bad_score_max: float = 2.0
    validation_share: float = 0.0
    test_share: float = 0.1
    near_duplicate: float = 0.8
    seed: int = 0


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How often something named occurs."""

    name: limits.ShortText
    count: int


Counts = Annotated[tuple[Count, ...], Items(COUNTS_COUNT_MAX)]


class DatasetStatistics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is in a version of a data set. `agreement` is Krippendorff's alpha of its judges, over the answers that
    several of them judged; None if there are too few."""

    answers: int
    pairs: int
    good: int
    bad: int
    edited: int
    prompt_groups: int
    """The number of groups of near-duplicate prompts. A prompt that is similar to no other is a group of its own."""
    largest_group: int
    characters: int
    splits: Counts = ()
    models: Counts = ()
    judges: Counts = ()
    left_out: Counts = ()
    agreement: float | None = None
