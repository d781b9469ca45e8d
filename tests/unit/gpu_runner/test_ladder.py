"""What an engine's last words say of memory, and which rung is taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import ArgumentValue, DeviceOverrides, EngineKind, ModelDefinition
from vbatch.gpu_runner.core.command import Device, DeviceKind, effective_arguments, effective_concurrency
from vbatch.gpu_runner.core.ladder import KERNEL_KILLED, RUNGS_MAX, Ladder, Shortage, memory_line, shortage_in

CPU = Device(DeviceKind.CPU, "cpu", 1 << 34)
GPU = Device(DeviceKind.NVIDIA, "RTX 4080", 16 << 30)
CUDA_OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
NO_CACHE = "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`"
SHORT_CACHE = "(1.2 GiB KV cache is needed, which is larger than the available KV cache memory (0.4 GiB)."
KERNEL = f"the engine ended with code 137: {KERNEL_KILLED}"


def vllm(**arguments: ArgumentValue) -> ModelDefinition:
    return ModelDefinition(id=ModelId("m"), hub="org/m", max_num_seqs=64, arguments=arguments)


def changed(ladder: Ladder, definition: ModelDefinition, device: Device = GPU) -> dict[str, ArgumentValue]:
    before = effective_arguments(definition, device)
    return {k: v for k, v in effective_arguments(ladder.applied(definition), device).items() if before.get(k) != v}


@pytest.mark.parametrize(
    ("words", "shortage"),
    [
        (CUDA_OOM, Shortage.DEVICE),
        ("RuntimeError: CUDA error: out of memory", Shortage.DEVICE),
        ("Free memory on device cuda:0 (3/15 GiB) is less than desired GPU memory utilization", Shortage.DEVICE),
        (NO_CACHE, Shortage.CACHE),
        (SHORT_CACHE, Shortage.CACHE),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes", Shortage.HOST),
        ("Traceback …\nMemoryError", Shortage.HOST),
        (KERNEL, Shortage.HOST),
        ("the engine ended with code 137: ", None),
        ("ValueError: unknown model architecture", None),
    ],
)  # fmt: skip
def test_the_last_words_tell_which_memory_ran_out(words: str, shortage: Shortage | None):
    assert shortage_in(words) is shortage


def test_the_line_of_the_shortage_is_found_above_what_followed():
    assert memory_line(f"starting\n  {CUDA_OOM}\nEngineCore died\nbye") == CUDA_OOM
    assert memory_line("all is well") == ""


def test_levers_take_turns():
    ladder, definition = Ladder(GPU), vllm()
    steps = [str(ladder.step_down(definition, CUDA_OOM)) for _ in range(4)]
    assert steps == [
        "max-num-batched-tokens 2048 → 1024",
        "max-num-seqs 64 → 32",
        "gpu-memory-utilization 0.9 → 0.8",
        "max-num-batched-tokens 1024 → 512",
    ]
    assert changed(ladder, definition) == {
        "max-num-batched-tokens": 512,
        "max-num-seqs": 32,
        "gpu-memory-utilization": 0.8,
    }
    assert effective_concurrency(ladder.applied(definition), GPU) < effective_concurrency(definition, GPU)


def test_without_room_for_the_cache_the_device_gives_a_larger_share_first():
    rung = Ladder(GPU).step_down(vllm(gpu_memory_utilization=0.8), NO_CACHE)
    assert rung is not None and (rung.name, rung.after) == ("gpu-memory-utilization", 0.83)


def test_the_context_is_shortened_only_where_that_is_permitted():
    definition = vllm(max_model_len=8192)
    for may_shorten in (False, True):
        ladder = Ladder(GPU, may_shorten=may_shorten)
        names = [rung.name for _ in range(RUNGS_MAX) if (rung := ladder.step_down(definition, SHORT_CACHE))]
        assert ("max-model-len" in names) is may_shorten


def test_on_a_cpu_the_cache_is_made_smaller_where_it_has_a_size():
    definition = ModelDefinition(
        id=ModelId("m"),
        hub="org/m",
        cpu=DeviceOverrides(arguments={"max_num_seqs": 16}, environment={"VLLM_CPU_KVCACHE_SPACE": "4"}),
    )
    ladder = Ladder(CPU)
    first, second = ladder.step_down(definition, KERNEL), ladder.step_down(definition, KERNEL)
    assert (str(first), str(second)) == ("VLLM_CPU_KVCACHE_SPACE 4 → 2", "max-num-seqs 16 → 8")
    lowered = ladder.applied(definition)
    assert lowered.cpu.environment == {"VLLM_CPU_KVCACHE_SPACE": "2"}
    assert effective_arguments(lowered, CPU)["max-num-seqs"] == 8


def test_a_step_always_holds_a_token_of_each_request():
    ladder, definition = Ladder(GPU), vllm(max_num_batched_tokens=1024, max_num_seqs=1024)
    rung = ladder.step_down(definition, CUDA_OOM)
    assert rung is not None and rung.name == "max-num-seqs"


def test_a_lowered_engine_that_fails_otherwise_says_that_it_was_lowered():
    ladder, definition = Ladder(GPU), vllm()
    ladder.step_down(definition, CUDA_OOM)
    assert ladder.described(definition, "bad kernel").startswith(
        "bad kernel\nStarted with less memory than asked for: max-num"
    )


def test_other_troubles_take_no_rung():
    ladder, definition = Ladder(GPU), vllm()
    assert ladder.step_down(definition, "ValueError: unknown model architecture") is None
    assert ladder.applied(definition) == definition
    assert ladder.described(definition, "unknown") == "unknown"


def test_another_definition_begins_at_the_top():
    ladder = Ladder(GPU)
    ladder.step_down(vllm(), CUDA_OOM)
    assert ladder.rungs(vllm(enforce_eager=True)) == ()
    assert ladder.applied(vllm(enforce_eager=True)) == vllm(enforce_eager=True)


def test_an_engine_elsewhere_is_not_ours_to_change():
    served = ModelDefinition(id=ModelId("m"), engine=EngineKind.HTTP, base_url="http://127.0.0.1:1")
    assert Ladder(GPU).step_down(served, CUDA_OOM) is None


def test_at_the_end_the_arithmetic_is_told():
    ladder, definition = Ladder(GPU), vllm(max_num_batched_tokens=1024)
    while ladder.step_down(definition, CUDA_OOM):
        pass
    described = ladder.described(definition, CUDA_OOM)
    assert "does not fit: RTX 4080 has 16.0 GiB; tried max-num-batched-tokens 1024 → 512" in described
    assert described.endswith(CUDA_OOM)


@given(
    words=st.lists(st.sampled_from([CUDA_OOM, NO_CACHE, KERNEL]), min_size=RUNGS_MAX + 1, max_size=20),
    seqs=st.integers(1, 1024),
    device=st.sampled_from([CPU, GPU]),
)
def test_every_ladder_ends_and_every_rung_changes_something(words: list[str], seqs: int, device: Device):
    definition = ModelDefinition(id=ModelId("m"), hub="org/m", max_num_seqs=seqs)
    ladder = Ladder(device, may_shorten=True)
    rungs = [rung for word in words if (rung := ladder.step_down(definition, word))]
    assert len(rungs) <= RUNGS_MAX
    assert [rung.number for rung in rungs] == list(range(1, len(rungs) + 1))
    assert all(rung.before != rung.after for rung in rungs)
    assert int(effective_arguments(ladder.applied(definition), device)["max-num-seqs"]) >= 1
