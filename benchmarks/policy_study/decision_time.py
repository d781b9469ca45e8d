"""How long one whole decision takes: from the folded state, through view and policy, to the events to record."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from statistics import median
from time import process_time

from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, FileId, ModelId, OwnerId, RunnerId, SliceId
from vbatch.contracts.orders import RequestRef
from vbatch.scheduler.core.decide import DecisionInput, decide
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.core.state.state import State, evolve

MODELS, OWNERS, REQUESTS_MAX, REPEATS = 20, 10, 40, 15
START = datetime(2026, 1, 1, tzinfo=UTC)
RUNNER = RunnerId("gpu0")


def decision_ms(batches: int) -> float:
    """CPU milliseconds, the median over decisions at different times, with one slice of a model on the device."""
    state = _state(batches)
    ids = (SliceId(f"s-{number}") for number in count())
    for event in decide(state, DecisionInput(START + timedelta(hours=2), {}, DensityPolicy(), ids.__next__)):
        evolve(state, event, state.sequence + 1)
    taken = []
    for minute in range(REPEATS):
        given = DecisionInput(START + timedelta(hours=2, minutes=minute), {}, DensityPolicy(), ids.__next__)
        began = process_time()
        if not decide(state, given):
            raise RuntimeError("nothing was decided, so nothing was measured")
        taken.append(1000 * (process_time() - began))
    return round(median(taken), 2)


def _state(batches: int) -> State:
    state, random = State(), Random(1)
    for event in _history(batches, random):
        evolve(state, event, state.sequence + 1)
    for batch in state.batches.values():
        if batch.model is not None:
            batch.plan = Plan(batch.model)
            for line in range(1, batch.waiting_count + 1):
                batch.plan.add(RequestRef(line, 100 * line, 99))
    return state


def _history(batches: int, random: Random) -> Iterator[e.AnyEvent]:
    yield e.RunnerLeased(runner_id=RUNNER, device="gpu", memory_bytes=1, pid=1, at=START)
    for number in range(batches):
        batch_id, requests = BatchId(f"batch_{number}"), random.randint(1, REQUESTS_MAX)
        at = START + timedelta(seconds=random.uniform(0, 3600))
        owner = OwnerId(f"owner-{random.randrange(OWNERS)}")
        yield e.BatchCreated(
            batch_id=batch_id, owner=owner, input_file_id=FileId("file-x"), endpoint="/v1/chat/completions",
            completion_window="24h", expires_at=at + timedelta(hours=random.choice((8, 24))), at=at,
        )  # fmt: skip
        total = e.ModelTotal(
            model=ModelId(f"m{random.randrange(MODELS)}"), requests=requests, input_bytes=400 * requests
        )
        yield e.BatchValidated(batch_id=batch_id, total=requests, last_line=requests, models=(total,), at=at)
