"""What a waiting process can be, and when there is one."""

from __future__ import annotations

import pytest

from vbatch.contracts.models import EngineKind
from vbatch.gpu_runner.core.command import EngineCommand
from vbatch.gpu_runner.core.standby import GIB, STANDBY_BYTES, affords_standby, order_for, standby_plan

PYTHON, MODULE = "vllm-python", "vllm.entrypoints.openai.api_server"


def command(*arguments: str, **environment: str) -> EngineCommand:
    return EngineCommand((PYTHON, "-m", MODULE, *arguments), environment)


def planned(wanted: EngineCommand, **machine: str):
    plan = standby_plan(wanted, EngineKind.VLLM, machine)
    assert plan is not None
    return plan


def test_the_order_says_what_a_plain_start_would_have_said():
    plan = planned(command("--model", "a"))
    order = order_for(plan, command("--model", "b", "--max-num-seqs", "4"))
    assert order is not None
    assert (order.module, order.arguments) == (MODULE, ("--model", "b", "--max-num-seqs", "4"))


def test_what_is_read_on_import_must_be_the_same():
    plan = planned(command(HF_HUB_OFFLINE="1"))
    assert order_for(plan, command(HF_HUB_OFFLINE="1")) is not None
    assert order_for(plan, command()) is None
    assert order_for(plan, EngineCommand(("other-python", "-m", MODULE), {"HF_HUB_OFFLINE": "1"})) is None


def test_what_is_read_later_comes_with_the_order():
    plan = planned(command(VLLM_CPU_KVCACHE_SPACE="1"))
    order = order_for(plan, command(VLLM_CPU_KVCACHE_SPACE="4"))
    assert "VLLM_CPU_KVCACHE_SPACE" not in plan.environment
    assert order is not None and order.environment == {"VLLM_CPU_KVCACHE_SPACE": "4"}


def test_a_cpu_worker_is_bound_to_its_cores_from_the_beginning():
    plan = planned(command(VLLM_CPU_OMP_THREADS_BIND="0,2,5"))
    assert plan.threads == {"OMP_NUM_THREADS": "3", "GOMP_CPU_AFFINITY": "0 2 5"}
    assert "vllm.v1.worker.cpu_worker" in plan.modules


@pytest.mark.parametrize("binding", ["auto", "0-31|32-63", "nobind"])
def test_a_binding_that_only_vllm_can_read_leaves_the_start_to_it(binding: str):
    assert standby_plan(command(VLLM_CPU_OMP_THREADS_BIND=binding), EngineKind.VLLM, {}) is None


def test_threads_that_are_counted_but_not_bound_are_known_from_the_beginning():
    counted = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}
    plan = planned(command(VLLM_CPU_OMP_THREADS_BIND="nobind", **counted))
    assert plan.threads == counted
    assert "vllm.v1.worker.cpu_worker" in plan.modules


def test_another_openmp_leaves_the_start_to_vllm():
    wanted = command(VLLM_CPU_OMP_THREADS_BIND="0,1")
    assert standby_plan(wanted, EngineKind.VLLM, {"LD_PRELOAD": "/lib/libiomp5.so"}) is None


def test_a_server_elsewhere_needs_no_standby():
    assert standby_plan(command(), EngineKind.HTTP, {}) is None


def test_a_standby_leaves_the_spare_memory_alone():
    assert affords_standby(STANDBY_BYTES + GIB, spare_bytes=GIB)
    assert not affords_standby(STANDBY_BYTES + GIB - 1, spare_bytes=GIB)
