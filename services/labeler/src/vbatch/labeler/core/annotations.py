"""Turns annotations of Label Studio into judgements of one answer or of two."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.bounds import cut, fits
from vbatch.contracts.curation import (
    EDITED_BYTES_MAX,
    SCORE_MAX,
    SCORE_MIN,
    TAGS_COUNT_MAX,
    JudgementSource,
    Verdict,
    Vote,
)
from vbatch.contracts.ids import BatchId, JudgementId, LabelingId, OwnerId, derived_judgement_id
from vbatch.contracts.limits import WORD_BYTES_MAX
from vbatch.contracts.previews import Json
from vbatch.labeler.core.tasks import TaskData
from vbatch.labeler.core.templates import EDITED, LABEL, NOTE, SCORE, TAGS, VERDICT, VOTE, VOTES

JUDGE_PREFIX = "ls:"
JudgementEvent = e.JudgementRecorded | e.AnswersCompared


class RegionValue(msgspec.Struct, frozen=True):
    choices: list[str] = []
    text: list[str] = []
    rating: float | None = None


class Region(msgspec.Struct, frozen=True):
    """One value of a control."""

    from_name: str = ""
    value: RegionValue = RegionValue()


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """What one person submitted for one task; `updated_at` is Label Studio's own text."""

    id: int
    result: list[Region] = []
    created_username: str = ""
    updated_at: str
    was_cancelled: bool = False
    lead_time: float | None = None


class LabeledTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task as its project lists it. A task that this server did not create has no key."""

    id: int
    updated_at: str = ""
    data: Json = {}
    annotations: list[Annotation] = []

    @property
    def key(self) -> str:
        key = self.data.get("vb_key")
        return key if isinstance(key, str) else ""


def reference_of(labeling_id: LabelingId, task_id: int, annotation_id: int) -> str:
    """The reference that connects a judgement to its annotation, whichever version of it."""
    return f"{labeling_id}/{task_id}/{annotation_id}"


def judgement_id_of(reference: str, updated_at: str) -> JudgementId:
    """The id of a judgement: the same for the same version of an annotation, whether a webhook or a pull brought it."""
    return derived_judgement_id(reference, updated_at)


def data_of(task: LabeledTask) -> TaskData | None:
    """The data of a task; None if this server did not create the task or its data was damaged."""
    try:
        return msgspec.convert(task.data, TaskData)
    except msgspec.ValidationError:
        return None


def judge_of(annotation: Annotation) -> str:
    """`ls:` and the e-mail address; Label Studio writes first name, last name, address, a comma and its own id."""
    name = annotation.created_username.rpartition(",")[0].strip().rpartition(" ")[2]
    return cut(JUDGE_PREFIX + (name or "unknown"), WORD_BYTES_MAX)


def judgement_of(
    annotation: Annotation, data: TaskData, *, owner: OwnerId, reference: str, at: datetime
) -> JudgementEvent | None:
    """The judgement that an annotation contains; None if it contains none."""
    values = {region.from_name: region.value for region in annotation.result}
    judgement_id = judgement_id_of(reference, annotation.updated_at)
    note = _first(values, NOTE) or ""
    if data.other_batch_id:
        vote = _vote(values)
        if vote is None:
            return None
        return e.AnswersCompared(
            at=at,
            owner=owner,
            judgement_id=judgement_id,
            batch_id=BatchId(data.batch_id),
            line=data.line,
            other_batch_id=BatchId(data.other_batch_id),
            other_line=data.other_line,
            vote=vote,
            judge=judge_of(annotation),
            source=JudgementSource.LABEL_STUDIO,
            note=note,
            seconds=annotation.lead_time,
            reference=reference,
        )
    said = _said(values, data)
    if said == _NOTHING and not note:
        return None
    return e.JudgementRecorded(
        at=at,
        owner=owner,
        judgement_id=judgement_id,
        batch_id=BatchId(data.batch_id),
        line=data.line,
        judge=judge_of(annotation),
        source=JudgementSource.LABEL_STUDIO,
        verdict=said.verdict,
        score=said.score,
        tags=said.tags,
        edited=said.edited,
        note=note,
        seconds=annotation.lead_time,
        reference=reference,
    )


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    verdict: Verdict | None = None
    score: float | None = None
    tags: tuple[str, ...] = ()
    edited: str | None = None


_NOTHING = _Said()


def _said(values: Mapping[str, RegionValue], data: TaskData) -> _Said:
    if LABEL in values:
        return _of_label(values[LABEL].choices, data)
    rating = values[SCORE].rating if SCORE in values else None
    return _Said(
        verdict=_verdict(values),
        score=rating if rating is not None and SCORE_MIN <= rating <= SCORE_MAX else None,
        tags=tuple(tag for tag in _tags(values) if fits(tag, WORD_BYTES_MAX)),
        edited=_edited(_first(values, EDITED), data.answer),
    )


def _of_label(labels: Sequence[str], data: TaskData) -> _Said:
    """Judge by the right label: if it is the model's own, the answer is good; otherwise it is what the answer should
    have been."""
    if not labels:
        return _NOTHING
    if labels[0] == data.label:
        return _Said(verdict=Verdict.GOOD)
    return _Said(verdict=Verdict.BAD, edited=_relabelled(labels[0], data))


def _relabelled(label: str, data: TaskData) -> str:
    if not data.label_field:
        return label
    try:
        answer = msgspec.json.decode(data.answer, type=dict[str, object])
    except msgspec.DecodeError:
        answer = {}
    return msgspec.json.encode(answer | {data.label_field: label}).decode()


def _verdict(values: Mapping[str, RegionValue]) -> Verdict | None:
    chosen = values[VERDICT].choices if VERDICT in values else []
    return next((verdict for verdict in Verdict if chosen and verdict == chosen[0]), None)


def _vote(values: Mapping[str, RegionValue]) -> Vote | None:
    """The vote. Label Studio identifies a choice by its alias, older versions by its value."""
    chosen = values[VOTE].choices if VOTE in values else []
    return next((vote for vote, value in VOTES.items() if chosen and chosen[0] in (vote, value)), None)


def _tags(values: Mapping[str, RegionValue]) -> Sequence[str]:
    return values[TAGS].choices[:TAGS_COUNT_MAX] if TAGS in values else ()


def _edited(text: str | None, answer: str) -> str | None:
    """The edited text; None if it equals the answer, which a judge starts from, is empty, or is too long."""
    if text is None or not text.strip() or not fits(text, EDITED_BYTES_MAX) or _folded(text) == _folded(answer):
        return None
    return text


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _first(values: Mapping[str, RegionValue], name: str) -> str | None:
    texts = values[name].text if name in values else []
    return texts[0] if texts else None
