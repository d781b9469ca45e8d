"""Items as tasks of Label Studio, with the answer as a prediction that a judge starts from."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vbatch.contracts.ids import LabelingId
from vbatch.contracts.labeling import LabelingAnswer, LabelingItem, LabelingTemplate
from vbatch.contracts.previews import Json, message_text
from vbatch.labeler.core.templates import ANSWER, EDITED, LABEL

CHUNK_TASKS = 250
"""The tasks of one import, which Label Studio stores in one transaction."""


class Turn(msgspec.Struct, frozen=True):
    """One line of a dialogue."""

    role: str
    content: str


class TaskData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a task shows, and where its answer comes from: `vb_key` is the labeling and the place of the item in it."""

    vb_key: str
    batch_id: str
    line: int
    custom_id: str = ""
    model: str = ""
    messages: list[Turn] = []
    answer: str = ""
    other: str = ""
    other_batch_id: str = ""
    other_line: int = 0
    label: str = ""
    label_field: str = ""


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a control, in the form that predictions have."""

    from_name: str
    to_name: str
    type: str
    value: Json


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    model_version: str
    result: list[Region]


class Task(msgspec.Struct, frozen=True, kw_only=True):
    data: TaskData
    predictions: list[Prediction] = []

    @property
    def key(self) -> str:
        return self.data.vb_key


def key_of(labeling_id: LabelingId, place: int) -> str:
    return f"{labeling_id}:{place}"


def labeling_of(key: str) -> LabelingId:
    """The labeling that a task says it belongs to."""
    return LabelingId(key.rpartition(":")[0])


def tasks_of(
    labeling_id: LabelingId, template: LabelingTemplate, items: Sequence[LabelingItem], first: int
) -> list[Task]:
    """The tasks of these items, the first of which has place `first`."""
    return [_task(key_of(labeling_id, place), template, item) for place, item in enumerate(items, first)]


def _task(key: str, template: LabelingTemplate, item: LabelingItem) -> Task:
    """The task of one item. The model names of a pair are not shown, because they would influence the judgement."""
    answer, other = item.answer, item.other
    data = TaskData(
        vb_key=key,
        batch_id=answer.batch_id,
        line=answer.line,
        custom_id=answer.custom_id,
        model="" if other is not None else answer.model_version,
        messages=[Turn(str(message.get("role", "")), message_text(message) or "") for message in item.messages],
        answer=answer.text,
        other="" if other is None else other.text,
        other_batch_id="" if other is None else other.batch_id,
        other_line=0 if other is None else other.line,
        label=item.label or "",
        label_field=item.label_field,
    )
    return Task(data=data, predictions=_predictions(template, item, answer))


def _predictions(template: LabelingTemplate, item: LabelingItem, answer: LabelingAnswer) -> list[Prediction]:
    match template:
        case LabelingTemplate.CHAT:
            region = Region(from_name=EDITED, to_name=ANSWER, type="textarea", value={"text": [answer.text]})
        case LabelingTemplate.CLASSIFICATION if item.label is not None:
            region = Region(from_name=LABEL, to_name=ANSWER, type="choices", value={"choices": [item.label]})
        case _:
            return []
    return [Prediction(model_version=answer.model_version, result=[region])]
