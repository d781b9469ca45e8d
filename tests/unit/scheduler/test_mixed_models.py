"""One file, several models: its lines run grouped by model, and each model is loaded once."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from itertools import groupby

import msgspec

from tests.support.events import NOON
from tests.support.scheduling import CHAT, OWNER, RUNNER, World
from vbatch.contracts import events as e
from vbatch.contracts.failures import FileFault, ReturnReason
from vbatch.contracts.ids import BatchId, FileId, ModelId, RunnerId
from vbatch.contracts.limits import MODELS_COUNT_MAX
from vbatch.contracts.orders import RunSlice
from vbatch.scheduler.core.decide import work_order_for
from vbatch.scheduler.core.planning.plan import Plan, packed, unpacked
from vbatch.scheduler.core.planning.validation import FileCheck, FileRules
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.core.state.pending_batch import PendingBatch

SMALL, LARGE = ModelId("small"), ModelId("large")
RULES = FileRules(CHAT, {SMALL: (CHAT,), LARGE: (CHAT,)}, may_mix_models=True)
OTHER = RunnerId("gpu1")


def content_of(*models: str) -> bytes:
    bodies = ({"model": model, "messages": []} for model in models)
    lines = [
        {"custom_id": f"{n}", "method": "POST", "url": CHAT, "body": body} for n, body in enumerate(bodies, start=1)
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def check(content: bytes, rules: FileRules = RULES) -> Plan | tuple[e.BatchFault, ...]:
    file_check = FileCheck(rules)
    file_check.feed(content)
    return file_check.result(lambda _refs: [])


def plan_for(*models: str) -> Plan:
    plan = check(content_of(*models))
    assert isinstance(plan, Plan)
    return plan


class MixedWorld(World):
    """Both models, and a batch with the lines of a plan."""

    def __init__(self) -> None:
        super().__init__(DensityPolicy())
        self.model(SMALL)
        self.model(LARGE)

    def mixed(self, *models: str) -> PendingBatch:
        batch_id = self.created("mixed")
        plan = self.plans[batch_id] = plan_for(*models)
        self.fold(
            e.BatchValidated(
                batch_id=batch_id, total=len(plan), last_line=plan.last_line, models=plan.totals(), at=self.now
            )
        )
        return self.state.batches[batch_id]

    def sent(self) -> list[e.BatchDispatched]:
        """Run everything to its end, and return what was dispatched."""
        dispatched: list[e.BatchDispatched] = []
        while events := self.settle():
            dispatched += [event for event in events if isinstance(event, e.BatchDispatched)]
            for slice_id in list(self.state.slices):
                self.later(timedelta(seconds=1))
                self.finish(slice_id)
        return dispatched


def test_the_plan_runs_the_lines_of_each_model_together_in_the_order_the_file_names_them():
    plan = plan_for("small", "large", "small", "large", "large")
    assert list(plan.order) == [1, 3, 2, 4, 5]
    assert [plan.model_of(line) for line in plan.order] == [SMALL, SMALL, LARGE, LARGE, LARGE]
    assert [(total.model, total.requests) for total in plan.totals()] == [(SMALL, 2), (LARGE, 3)]
    assert sum(total.input_bytes for total in plan.totals()) == plan.input_bytes
    assert (plan.part_of(SMALL), plan.part_of(LARGE)) == (range(2), range(2, 5))


def test_a_packed_plan_still_tells_the_models():
    plan = plan_for("small", "large", "small")
    assert unpacked(packed(plan)) == plan


def test_a_file_for_one_model_is_planned_as_ever():
    plan = plan_for("small", "small")
    assert (plan.models, plan.model, plan.part_of(SMALL)) == ((), SMALL, range(2))


def test_several_models_are_refused_unless_they_are_allowed():
    faults = check(content_of("small", "large"), replace(RULES, may_mix_models=False))
    assert not isinstance(faults, Plan)
    assert [(fault.code, fault.line) for fault in faults] == [(FileFault.MISMATCHED_MODEL, 2)]


def test_a_file_for_too_many_models_is_refused_at_the_first_line_beyond_the_bound():
    names = [f"m{n}" for n in range(MODELS_COUNT_MAX + 1)]
    rules = FileRules(CHAT, {ModelId(name): (CHAT,) for name in names}, may_mix_models=True)
    faults = check(content_of(*names), rules)
    assert not isinstance(faults, Plan)
    assert [(fault.code, fault.line) for fault in faults] == [(FileFault.MISMATCHED_MODEL, MODELS_COUNT_MAX + 1)]


def test_the_model_of_a_fan_out_takes_the_place_of_those_that_the_lines_name():
    plan = check(content_of("small", "unknown"), replace(RULES, model=LARGE, may_mix_models=False))
    assert isinstance(plan, Plan)
    assert (plan.model, plan.models) == (LARGE, ())


def test_the_order_of_a_fan_outs_slice_tells_the_runner_to_replace_the_model():
    world = MixedWorld()
    batch_id = world.created("fan")
    created = msgspec.structs.replace(world.state.batches[batch_id].created, model=LARGE)
    world.state.batches[batch_id].created = created
    world.validated(batch_id, 3, LARGE)
    world.runner()
    world.settle()
    [order] = [work_order_for(world.state, slice_) for slice_ in world.state.slices.values()]
    assert isinstance(order, RunSlice) and (order.model, order.replaces_model) == (LARGE, True)


def test_each_model_is_loaded_once_and_every_line_runs_on_its_own():
    world = MixedWorld()
    batch = world.mixed(*["small", "large"] * 600)
    plan = batch.plan
    assert plan is not None
    world.runner()
    sent = world.sent()

    assert [model for model, _ in groupby(event.model for event in sent)] == [SMALL, LARGE]
    assert sorted(line for event in sent for line in event.lines) == list(range(1, 1201))
    assert all(plan.model_of(line) == event.model for event in sent for line in event.lines)


def test_a_device_begins_with_the_model_that_it_has_loaded():
    world = MixedWorld()
    world.runner()
    world.running("first", 3, LARGE)
    world.mixed(*["small", "large"] * 50)
    sent = world.sent()
    assert [model for model, _ in groupby(event.model for event in sent)] == [LARGE, SMALL]


def test_two_devices_run_the_two_models_of_one_file_side_by_side():
    world = MixedWorld()
    world.runner()
    world.runner(OTHER)
    world.running("first", 3, SMALL)
    world.settle()
    world.running("second", 3, LARGE)
    world.settle()
    world.mixed(*["small", "large"] * 50)
    placed = {(event.runner_id, event.model) for event in world.settle() if isinstance(event, e.BatchDispatched)}
    assert {model for _, model in placed} == {SMALL, LARGE} and len({runner for runner, _ in placed}) == 2


def test_returned_lines_go_back_to_their_own_model():
    world = MixedWorld()
    batch = world.mixed("small", "large", "small", "large")
    world.runner()
    world.settle()
    slices = {slice_.event.model: slice_id for slice_id, slice_ in world.state.slices.items()}
    world.give_back(slices[SMALL], ReturnReason.STOPPING)
    assert (batch.waiting_for(SMALL), batch.waiting_models()[0]) == (2, SMALL)
    sent = world.sent()
    assert all(set(event.lines) <= ({1, 3} if event.model == SMALL else {2, 4}) for event in sent)
    assert batch.ledger is not None and batch.ledger.is_full


def test_a_model_that_does_not_load_does_not_hold_up_the_other():
    world = MixedWorld()
    batch = world.mixed("small", "large")
    world.runner()
    world.settle()
    failed = e.ModelFailed(
        runner_id=RUNNER, epoch=world.state.runners[RUNNER].epoch, model=SMALL, detail="", at=world.now
    )
    first = next(slice_id for slice_id, slice_ in world.state.slices.items() if slice_.event.model == SMALL)
    for slice_id in list(world.state.slices):
        if slice_id != first:
            world.give_back(slice_id, ReturnReason.STOPPING)
    world.fold(failed)
    world.give_back(first, ReturnReason.STOPPING)
    sent = [event for event in world.settle() if isinstance(event, e.BatchDispatched)]
    assert [(event.model, event.lines) for event in sent] == [(LARGE, (2,))]
    assert batch.waiting_models() == [SMALL]


def test_after_a_restart_the_file_is_still_allowed_to_mix_models():
    created = e.BatchCreated(
        batch_id=BatchId("b"),
        owner=OWNER,
        input_file_id=FileId("f"),
        endpoint=CHAT,
        completion_window="24h",
        at=NOON,
        expires_at=NOON,
    )
    batch, models = PendingBatch(created, 1, None), plan_for("small", "large").totals()
    batch.open(e.BatchValidated(batch_id=BatchId("b"), total=2, last_line=2, models=models, at=NOON))
    assert batch.is_mixed and batch.waiting_models() == [SMALL, LARGE]
