"""The state of a batch after an event, and what that event changed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vbatch.contracts import events as e
from vbatch.contracts.ids import SliceId
from vbatch.contracts.lifecycle import BatchStatus, Steering, next_status, steered
from vbatch.gateway.core.answer_lines import ChunkRecord
from vbatch.gateway.core.timeline.objects import StateObject
from vbatch.gateway.core.timeline.steps import Step, name_of


@dataclass(frozen=True, slots=True)
class State:
    """The result of counting and of the rules of `contracts.lifecycle` for the events so far."""

    status: BatchStatus = BatchStatus.VALIDATING
    steering: Steering = Steering()  # noqa: RUF009  # frozen
    total: int = 0
    completed: int = 0
    failed: int = 0
    output_tokens: int = 0
    slices_out: frozenset[SliceId] = frozenset()
    slices_returned: int = 0

    def moved_by(self, event: e.StatusEvent | e.SteeringEvent) -> State:
        status = next_status(self.status, event)
        after = replace(self, status=status, steering=steered(self.steering, status, event))
        match event:
            case e.BatchCreated():
                return replace(after, steering=replace(after.steering, priority=event.priority))
            case e.BatchValidated():
                return replace(after, total=event.total)
            case _:
                return after

    def counting(self, chunk: ChunkRecord) -> State:
        return replace(
            self,
            completed=self.completed + chunk.completed,
            failed=self.failed + chunk.failed,
            output_tokens=self.output_tokens + chunk.output_tokens,
        )


def state_view(step: Step, before: State, after: State, sentence: str) -> StateObject:
    shown, past = _fields(after), _fields(before)
    return StateObject(
        sequence=step.sequence,
        at=step.at.timestamp(),
        event=name_of(step.event),
        sentence=sentence,
        status=after.status.value,
        is_paused=after.steering.paused_at is not None,
        priority=after.steering.priority,
        total=after.total,
        completed=after.completed,
        failed=after.failed,
        output_tokens=after.output_tokens,
        slices_out=len(after.slices_out),
        slices_returned=after.slices_returned,
        changed=[name for name, value in shown.items() if past[name] != value],
    )


def _fields(state: State) -> dict[str, object]:
    return {
        "status": state.status,
        "is_paused": state.steering.paused_at is not None,
        "priority": state.steering.priority,
        "total": state.total,
        "completed": state.completed,
        "failed": state.failed,
        "output_tokens": state.output_tokens,
        "slices_out": len(state.slices_out),
        "slices_returned": state.slices_returned,
    }
