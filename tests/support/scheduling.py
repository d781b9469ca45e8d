"""A small world for the scheduler's rules: events told by one call each, folded, and decided on."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.support.events import NOON
from vbatch.contracts import events as e
from vbatch.contracts.failures import ReturnReason
from vbatch.contracts.ids import BatchId, FileId, ModelId, OwnerId, RunnerId, SliceId
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.contracts.orders import RequestRef
from vbatch.scheduler.core.decide import DecisionInput, decide
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.policy.policy import Policy, stay_then_oldest
from vbatch.scheduler.core.state.state import State, evolve

OWNER = OwnerId("local")
CHAT = "/v1/chat/completions"
RUNNER = RunnerId("gpu0")
DAY = timedelta(days=1)


def batch_id(name: str) -> BatchId:
    return BatchId(f"batch_{name}")


def plan_of(count: int, model: str = "small") -> Plan:
    plan = Plan(ModelId(model))
    for line in range(1, count + 1):
        plan.add(RequestRef(line, line * 100, 99))
    return plan


def outcome(line: int, status_code: int = 200) -> e.Outcome:
    return e.Outcome(line=line, custom_id=str(line), status_code=status_code)


class World:
    """Tell it what happened, ask it what happens next. Its own decisions are folded like all other events."""

    def __init__(self, policy: Policy = stay_then_oldest) -> None:
        self.policy = policy
        self.state = State()
        self.now: datetime = NOON
        self.plans: dict[BatchId, Plan] = {}
        self.plan_results: dict[BatchId, Plan | tuple[e.BatchFault, ...]] = {}
        self._slices = 0

    def fold(self, *events: e.AnyEvent) -> None:
        for event in events:
            evolve(self.state, event, self.state.sequence + 1)
            self._attach_plans()

    def model(self, name: str) -> None:
        self.fold(e.ModelRegistered(model=ModelDefinition(id=ModelId(name), engine=EngineKind.SIMULATED), at=self.now))

    def file(self, name: str, owner: OwnerId = OWNER, life: timedelta | None = None) -> FileId:
        file_id = FileId(f"file-{name}")
        self.fold(
            e.FileStored(
                file_id=file_id,
                owner=owner,
                purpose="batch",
                filename="in",
                bytes=1,
                sha256="",
                blob=name,
                at=self.now,
                expires_at=None if life is None else self.now + life,
            )
        )
        return file_id

    def created(
        self, name: str, window: timedelta = DAY, file_id: FileId | None = None, *, priority: int = 0
    ) -> BatchId:
        self.fold(
            e.BatchCreated(
                batch_id=batch_id(name),
                owner=OWNER,
                input_file_id=file_id or self.file(name),
                endpoint=CHAT,
                completion_window="24h",
                at=self.now,
                expires_at=self.now + window,
                priority=priority,
            )
        )
        return batch_id(name)

    def running(
        self, name: str, count: int, model: str = "small", window: timedelta = DAY, *, priority: int = 0
    ) -> BatchId:
        """Add a batch that is created and validated, with its plan."""
        batch_id = self.created(name, window, priority=priority)
        self.validated(batch_id, count, model)
        return batch_id

    def validated(self, batch_id: BatchId, count: int, model: str = "small") -> None:
        self.plans[batch_id] = plan_of(count, model)
        total = e.ModelTotal(model=ModelId(model), requests=count, input_bytes=count)
        self.fold(e.BatchValidated(batch_id=batch_id, total=count, last_line=count, models=(total,), at=self.now))

    def runner(self, runner_id: RunnerId = RUNNER) -> None:
        """Start a runner process; the runner's earlier life loses everything it held."""
        self.fold(e.RunnerLeased(runner_id=runner_id, device="cpu", memory_bytes=1, pid=1, at=self.now))

    def cancel(self, batch_id: BatchId) -> None:
        self.fold(e.BatchCancelRequested(batch_id=batch_id, at=self.now))

    def pause(self, batch_id: BatchId) -> None:
        self.fold(e.BatchPaused(batch_id=batch_id, at=self.now))

    def resume(self, batch_id: BatchId) -> None:
        self.fold(e.BatchResumed(batch_id=batch_id, at=self.now))

    def prioritize(self, batch_id: BatchId, priority: int) -> None:
        self.fold(e.BatchPriorityChanged(batch_id=batch_id, priority=priority, at=self.now))

    def later(self, wait: timedelta) -> None:
        self.now += wait

    def decide_only(self) -> list[e.AnyEvent]:
        """Make one decision that is not folded yet."""
        return decide(self.state, DecisionInput(self.now, self.plan_results, self.policy, self._new_slice_id))

    def decide(self) -> list[e.AnyEvent]:
        """Make one decision and fold it."""
        events = self.decide_only()
        self.fold(*events)
        return events

    def settle(self) -> list[e.AnyEvent]:
        """Make all decisions until there is nothing to do."""
        everything: list[e.AnyEvent] = []
        while events := self.decide():
            everything += events
        return everything

    def finish(self, slice_id: SliceId, *, lines: tuple[int, ...] | None = None, status_code: int = 200) -> None:
        it = self.state.slices[slice_id]
        done = tuple(it.lines) if lines is None else lines
        self.fold(self.chunk(it.event, done, status_code))

    def chunk(self, sent: e.BatchDispatched, lines: tuple[int, ...], status_code: int = 200) -> e.ChunkCompleted:
        return e.ChunkCompleted(
            batch_id=sent.batch_id,
            slice_id=sent.slice_id,
            runner_id=sent.runner_id,
            epoch=sent.epoch,
            chunk=1,
            model=sent.model,
            outcomes=tuple(outcome(line, status_code) for line in lines),
            at=self.now,
        )

    def give_back(self, slice_id: SliceId, reason: ReturnReason, suspects: tuple[int, ...] = ()) -> None:
        it = self.state.slices[slice_id]
        self.fold(
            e.SliceReturned(
                batch_id=it.event.batch_id,
                slice_id=slice_id,
                runner_id=it.event.runner_id,
                epoch=it.event.epoch,
                lines=tuple(it.lines),
                reason=reason,
                suspects=suspects,
                at=self.now,
            )
        )

    def _attach_plans(self) -> None:
        for batch_id, batch in self.state.batches.items():
            if batch.ledger is not None and batch.plan is None:
                batch.plan = self.plans.get(batch_id)

    def _new_slice_id(self) -> SliceId:
        self._slices += 1
        return SliceId(f"s-{self._slices}")
