"""The events of labelings: answers that are handed to Label Studio for judging."""

from __future__ import annotations

from typing import Annotated

from vbatch.contracts import limits
from vbatch.contracts.bounds import Items
from vbatch.contracts.curation import BatchIds
from vbatch.contracts.events.base import Event
from vbatch.contracts.ids import LabelingId, OwnerId
from vbatch.contracts.labeling import LABELS_COUNT_MAX, LabelingTemplate


class LabelingEvent(Event, frozen=True, kw_only=True):
    """The base of all events of labelings. It names their owner."""

    owner: OwnerId
    labeling_id: LabelingId


class LabelingRequested(LabelingEvent, frozen=True, kw_only=True):
    """These answers are to be judged in Label Studio: `item_count` lines of `blob`, fsynced.

    Without `project_id` they get a project of their own. `labels` are the choices of a classification.
    """

    title: limits.PersonText
    template: LabelingTemplate
    batch_ids: BatchIds
    item_count: int
    blob: limits.BlobName
    sha256: limits.Word
    by: limits.Word
    labels: Annotated[tuple[limits.Word, ...], Items(LABELS_COUNT_MAX)] = ()
    project_id: int | None = None


class ProjectLinked(LabelingEvent, frozen=True, kw_only=True):
    """The answers go to this project of Label Studio."""

    project_id: int


class TasksPushed(LabelingEvent, frozen=True, kw_only=True):
    """Label Studio has the first `pushed_count` items as tasks, each once."""

    pushed_count: int


class LabelingFailed(LabelingEvent, frozen=True, kw_only=True):
    """Label Studio permanently refuses the project or its tasks. Nothing more is sent."""

    reason: limits.ReasonText


AnyLabelingEvent = LabelingRequested | ProjectLinked | TasksPushed | LabelingFailed
