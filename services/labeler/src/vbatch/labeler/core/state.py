"""What the log says about labelings: which exist, how far they are pushed, and which judgements their tasks have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from vbatch.contracts import events as e
from vbatch.contracts.curation import JudgementSource
from vbatch.contracts.ids import BatchId, JudgementId, LabelingId
from vbatch.labeler.core.annotations import (
    Annotation,
    LabeledTask,
    data_of,
    judgement_id_of,
    judgement_of,
    reference_of,
)
from vbatch.labeler.core.tasks import TaskData, labeling_of

SUBJECTS = ("evt.labeling.>", "evt.judgement.>", "evt.labeler.*.lease")
LABELER = "labeler"

News = e.JudgementRecorded | e.AnswersCompared | e.JudgementWithdrawn


@dataclass(frozen=True, slots=True)
class Labeling:
    requested: e.LabelingRequested
    project_id: int | None
    pushed_count: int = 0
    is_failed: bool = False

    @property
    def is_pushed(self) -> bool:
        return self.pushed_count >= self.requested.item_count


@dataclass(frozen=True, slots=True)
class Counted:
    """The judgement that counts for one annotation."""

    judgement_id: JudgementId
    batch_id: BatchId


@dataclass(frozen=True)
class State:
    """`counted` is keyed by the task and the reference of the annotation; `references` has every judgement that ever
    came from Label Studio."""

    labelings: dict[LabelingId, Labeling] = field(default_factory=dict)
    counted: dict[str, dict[str, Counted]] = field(default_factory=dict)
    references: dict[JudgementId, str] = field(default_factory=dict)

    def to_push(self) -> list[Labeling]:
        """The labelings to push, in the order in which they were requested."""
        return [each for each in self.labelings.values() if not each.is_pushed and not each.is_failed]

    def projects(self) -> set[int]:
        return {each.project_id for each in self.labelings.values() if each.project_id is not None}


def evolve(state: State, event: e.AnyEvent, sequence: int) -> None:
    """Fold one event; an event of another subject changes nothing."""
    match event:
        case e.LabelingRequested():
            state.labelings.setdefault(event.labeling_id, Labeling(event, event.project_id))
        case e.ProjectLinked() | e.TasksPushed() | e.LabelingFailed():
            if event.labeling_id in state.labelings:
                state.labelings[event.labeling_id] = _moved(state.labelings[event.labeling_id], event)
        case e.JudgementRecorded() | e.AnswersCompared():
            if event.source is JudgementSource.LABEL_STUDIO and event.judgement_id not in state.references:
                state.references[event.judgement_id] = event.reference
                of_task = state.counted.setdefault(_task_of(event.reference), {})
                of_task[event.reference] = Counted(event.judgement_id, event.batch_id)
        case e.JudgementWithdrawn():
            reference = state.references.get(event.judgement_id, "")
            of_task = state.counted.get(_task_of(reference), {})
            if reference in of_task and of_task[reference].judgement_id == event.judgement_id:
                del of_task[reference]
        case _:
            pass


def news_of(state: State, task: LabeledTask, now: datetime) -> list[list[News]]:
    """The events that follow from the current annotations of a task, in lists of events that belong together.

    A changed annotation is a new judgement that replaces the previous one. An annotation that is gone while its task
    still exists was taken back. A judgement that was withdrawn on this server stays withdrawn.
    """
    labeling, data = state.labelings.get(labeling_of(task.key)), data_of(task)
    if labeling is None or data is None or data.batch_id not in labeling.requested.batch_ids:
        return []
    references = {
        reference_of(labeling.requested.labeling_id, task.id, annotation.id): annotation
        for annotation in task.annotations
    }
    counted = state.counted.get(f"{labeling.requested.labeling_id}/{task.id}", {})
    told = [
        _told(labeling, data, reference, annotation, counted.get(reference), now)
        for reference, annotation in references.items()
        if judgement_id_of(reference, annotation.updated_at) not in state.references
    ]
    removed: list[list[News]] = [
        [_withdrawn(labeling, each, now)] for reference, each in counted.items() if reference not in references
    ]
    return [events for events in (*told, *removed) if events]


def copies_to_remove(state: State, same: Sequence[LabeledTask]) -> list[LabeledTask]:
    """The tasks that may be deleted, among tasks with the same key: they belong to one of our labelings and have no
    annotation. If none of them has one, the oldest stays."""
    if labeling_of(same[0].key) not in state.labelings:
        return []
    judged = [task for task in same if task.annotations]
    kept = judged or [min(same, key=lambda task: task.id)]
    return [task for task in same if task not in kept]


def _told(
    labeling: Labeling, data: TaskData, reference: str, annotation: Annotation, before: Counted | None, now: datetime
) -> list[News]:
    owner = labeling.requested.owner
    said = (
        None if annotation.was_cancelled else judgement_of(annotation, data, owner=owner, reference=reference, at=now)
    )
    taken_back: list[News] = [_withdrawn(labeling, before, now)] if before is not None else []
    return taken_back if said is None else [*taken_back, said]


def _task_of(reference: str) -> str:
    """The labeling and the task, with which a reference begins."""
    return reference.rpartition("/")[0]


def _withdrawn(labeling: Labeling, counted: Counted, now: datetime) -> e.JudgementWithdrawn:
    return e.JudgementWithdrawn(
        at=now,
        owner=labeling.requested.owner,
        judgement_id=counted.judgement_id,
        batch_id=counted.batch_id,
        by=LABELER,
    )


def _moved(labeling: Labeling, event: e.ProjectLinked | e.TasksPushed | e.LabelingFailed) -> Labeling:
    match event:
        case e.ProjectLinked():
            return replace(labeling, project_id=labeling.project_id or event.project_id)
        case e.TasksPushed():
            return replace(labeling, pushed_count=max(labeling.pushed_count, event.pushed_count))
        case e.LabelingFailed():
            return replace(labeling, is_failed=True)
