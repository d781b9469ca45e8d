"""The gateway's answers about judgements and data sets, reduced to the fields that the commands show."""

from __future__ import annotations

import msgspec


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The `other_*` fields and `vote` are set for a comparison."""

    id: str
    batch_id: str = ""
    line: int = 0
    other_batch_id: str | None = None
    other_line: int | None = None
    vote: str | None = None
    judge: str = ""
    source: str = ""
    verdict: str | None = None
    score: float | None = None
    tags: list[str] = []
    note: str = ""
    edited: str | None = None


class JudgementList(msgspec.Struct, frozen=True):
    data: list[Judgement]
    has_more: bool = False
    last_sequence: int | None = None


class Count(msgspec.Struct, frozen=True):
    name: str
    count: int


class DatasetStatistics(msgspec.Struct, frozen=True, kw_only=True):
    answers: int
    pairs: int
    good: int
    bad: int
    edited: int
    splits: list[Count] = []
    left_out: list[Count] = []


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a data set; the time is in Unix seconds."""

    id: str
    name: str
    version: int
    created_at: int
    at_sequence: int
    statistics: DatasetStatistics
    bytes: int = 0


class DatasetList(msgspec.Struct, frozen=True):
    data: list[Dataset]


class DatasetDeleted(msgspec.Struct, frozen=True):
    id: str


class Labeling(msgspec.Struct, frozen=True, kw_only=True):
    """Answers that are handed to Label Studio."""

    id: str
    title: str
    template: str
    status: str
    item_count: int
    pushed_count: int
    project_id: int | None = None
    failure: str | None = None


class LabelingList(msgspec.Struct, frozen=True):
    data: list[Labeling]


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Answers that a model judges."""

    id: str
    kind: str
    judge: str
    judge_batch_id: str
    status: str
    item_count: int
    judged_count: int
    inconsistent_count: int = 0
    unanswered_count: int = 0
    cut_count: int = 0
    malformed_count: int = 0


class EvaluationList(msgspec.Struct, frozen=True):
    data: list[Evaluation]


class AgreementFigure(msgspec.Struct, frozen=True, kw_only=True):
    """How well some judges agree. A figure that cannot be computed is None."""

    kind: str
    judges: list[str]
    shared_count: int
    same_share: float | None = None
    kappa: float | None = None
    alpha: float | None = None
    sentence: str = ""


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    people: list[AgreementFigure]
    models: list[AgreementFigure]
    pairs: list[AgreementFigure]
