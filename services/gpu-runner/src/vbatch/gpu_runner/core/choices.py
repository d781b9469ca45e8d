"""What the device chooses if a model's definition says nothing: one table for processors and one for GPUs. Each entry
has its reason.

A reason that was measured says so; the others follow from what the hardware supports and from vLLM's own defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vbatch.contracts.models import ArgumentValue, DeviceOverrides, ModelDefinition
from vbatch.gpu_runner.core.gpu import Gpu
from vbatch.gpu_runner.core.processor import Feature, LogicalCore, Processor

DTYPE, KV_DTYPE, EAGER, QUANTIZATION = "dtype", "kv-cache-dtype", "enforce-eager", "quantization"
BLOCK_SIZE, BATCHED_TOKENS = "block-size", "max-num-batched-tokens"
BINDING, THREADS, WAITING = "VLLM_CPU_OMP_THREADS_BIND", "OMP_NUM_THREADS", "OMP_WAIT_POLICY"
NO_BINDING = "nobind"
"""vLLM's value for threads that are counted but not bound to cores (vllm/utils/ompmultiprocessing.py)."""
ASLEEP = "passive"
"""OpenMP's value for threads that sleep while they wait for the others (OpenMP 5.2, 21.7); the rest spin first."""
CPU_BLOCK_TOKENS = 32
CPU_BATCHED_TOKENS = 2048
PHYSICAL_CORES_MIN = 4
"""With this many cores or more, their hyperthreads are left to the processes that feed the engine."""
SPARE_CORE_FROM = 8
"""With this many cores or more and no hyperthreads, one core is left to the processes that feed the engine, as vLLM
itself does."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An argument of the engine or, in capitals, a variable of its environment, and why it has this value."""

    name: str
    value: ArgumentValue
    reason: str


BFLOAT16, FLOAT32, FLOAT16 = "bfloat16", "float32", "float16"
DTYPES: tuple[tuple[Feature, str, str], ...] = (
    (Feature.AMX_BF16, BFLOAT16, "this processor multiplies bfloat16 in matrix tiles (AMX)"),
    (Feature.AVX512_BF16, BFLOAT16, "this processor computes bfloat16 itself (AVX512-BF16)"),
    (Feature.AVX512, FLOAT32, "this processor emulates bfloat16: it has AVX-512 but not AVX512-BF16"),
    (Feature.AVX2, FLOAT32, "this processor emulates bfloat16: it has AVX2 and no more"),
    (Feature.ARM_BF16, BFLOAT16, "this processor computes bfloat16 itself (Arm BF16)"),
    (Feature.NEON, FLOAT32, "this processor emulates bfloat16: it has NEON without BF16"),
)
"""The first feature in this list that the processor has decides. On two cores with AVX2 a chat file ran at 1.10
requests/s in bfloat16, 1.38 in float16 and 6.51 in float32 (SmolLM2-135M); docs/performance.md has the others."""


def processor_choices(processor: Processor) -> tuple[Choice, ...]:
    """The choices for a vLLM engine on this processor."""
    return (
        *_dtype(processor),
        *_threads(processor),
        Choice(
            EAGER,
            True,
            "compiled it would start in 60 s instead of 24 s, want a C++ compiler, and win 1.15 times at most",
        ),
        Choice(BLOCK_SIZE, CPU_BLOCK_TOKENS, "prompts share what they have in common from 32 tokens on, not from 128"),
        Choice(BATCHED_TOKENS, CPU_BATCHED_TOKENS, "larger steps won nothing beyond the noise"),
    )


def gpu_choices(gpu: Gpu) -> tuple[Choice, ...]:
    """The choices for a vLLM engine on this GPU. vLLM chooses the size of a step: it knows its GPUs. The device never
    chooses quantization, because it makes answers coarser: only models.toml can ask for it."""
    return (
        _gpu_dtype(gpu),
        Choice(KV_DTYPE, "auto", "as wide as the model computes: 8 bits would change answers a little"),
    )


def left_open(definition: ModelDefinition, choices: tuple[Choice, ...], *, is_cpu: bool) -> tuple[Choice, ...]:
    """The choices that the definition leaves open. A quantised model takes its dtype from its quantization."""
    said = _said(definition, is_cpu=is_cpu)
    taken = set(said) | ({DTYPE} if said.get("quantization") else set())
    taken |= {THREADS, WAITING} if BINDING in said else set()
    return tuple(choice for choice in choices if choice.name not in taken)


def _said(definition: ModelDefinition, *, is_cpu: bool) -> Mapping[str, ArgumentValue]:
    own, cpu = definition, definition.cpu if is_cpu else DeviceOverrides()
    arguments = {name.replace("_", "-"): value for name, value in {**own.arguments, **cpu.arguments}.items()}
    return {**arguments, **own.environment, **cpu.environment}


def _dtype(processor: Processor) -> tuple[Choice, ...]:
    found = next((rule for rule in DTYPES if rule[0] in processor.features), None)
    return (Choice(DTYPE, found[1], found[2]),) if found else ()


def has_share(processor: Processor) -> bool:
    """Whether a cgroup grants less time than the cores that compute have."""
    return processor.quota is not None and processor.quota < len(_cores(processor)[0])


def _threads(processor: Processor) -> tuple[Choice, ...]:
    """Count the threads of the engine. Each is bound to its own core only where other cores are slower, because a bound
    thread that shares its core with another program keeps all others waiting."""
    cores, reason = _cores(processor)
    if not cores:
        return ()
    if has_share(processor):
        share = processor.quota or 0.0
        return _unbound(int(share), f"this container may use {share:g} of {len(processor.logical_cores)} processors")
    if _are_particular(processor, cores):
        return (Choice(BINDING, _listed(cores), reason),)
    return _unbound(len(cores), reason)


def _unbound(count: int, reason: str) -> tuple[Choice, ...]:
    return (
        Choice(
            BINDING, NO_BINDING, "beside one busy program, threads that are bound to cores were 3 to 5 times slower"
        ),
        Choice(THREADS, str(max(1, count)), reason),
        Choice(WAITING, ASLEEP, "a thread that spins while it waits takes the core of one that has work"),
    )


def thread_settings(processor: Processor) -> tuple[tuple[str, ArgumentValue], ...]:
    """The settings worth measuring: a thread on every logical core, one a core, and one core left to what feeds the
    engine. They are lists of cores where threads are bound, and counts where they are not. There is none where a cgroup
    grants time instead of cores."""
    every = list(processor.logical_cores)
    if len(every) < 2 or (processor.quota is not None and processor.quota < len(every)):
        return ()
    single = _one_thread_each(every)
    ways = (every, single, single[1:] or every)
    if _are_particular(processor, _cores(processor)[0]):
        return tuple((BINDING, listed) for listed in dict.fromkeys(map(_listed, ways)))
    return tuple((THREADS, str(count)) for count in dict.fromkeys(map(len, ways)))


def _are_particular(processor: Processor, cores: list[LogicalCore]) -> bool:
    """Whether threads would run slower on cores that were not chosen: slow ones, or those far from the memory."""
    left_out = set(processor.logical_cores) - set(cores)
    return any(core.is_slow or core.node != cores[0].node for core in left_out)


def _listed(cores: list[LogicalCore]) -> str:
    return ",".join(str(core.number) for core in cores)


def _cores(processor: Processor) -> tuple[list[LogicalCore], str]:
    """The cores that compute, and why these were chosen."""
    node = _largest_node(processor)
    here = [core for core in processor.logical_cores if core.node == node]
    why = [f"memory of another node is slow: those of node {node}"] if len(processor.nodes) > 1 else []
    fast = [core for core in here if not core.is_slow]
    if len(fast) < len(here) and 2 * _count(fast) >= _count(here):
        here = fast
        why.append("slow cores would keep the fast ones waiting: the fast ones alone")
    if _count(here) < len(here) and _count(here) >= PHYSICAL_CORES_MIN:
        here = _one_thread_each(here)
        why.append("one thread a core: hyperthreads share its arithmetic")
    elif _count(here) >= SPARE_CORE_FROM:
        here = here[1:]
        why.append("the first core is left to what feeds the engine")
    return here, "; ".join(why) or "every core computes: vLLM's own choice leaves one idle (1.49 times as fast on two)"


def _largest_node(processor: Processor) -> int:
    sizes = {node: sum(core.node == node for core in processor.logical_cores) for node in processor.nodes}
    return max(sizes, key=lambda node: sizes[node], default=0)


def _count(cores: list[LogicalCore]) -> int:
    return len({core.core for core in cores})


def _one_thread_each(cores: list[LogicalCore]) -> list[LogicalCore]:
    first = {core.core: core for core in reversed(cores)}
    return [core for core in cores if first[core.core] is core]


def _gpu_dtype(gpu: Gpu) -> Choice:
    if gpu.has_bfloat16:
        return Choice(DTYPE, "auto", "as the model is published: this GPU computes bfloat16 and float16 itself")
    lacking = f"this GPU has no bfloat16 (compute capability {gpu.capability})"
    return Choice(DTYPE, "auto", f"{lacking}: vLLM takes float16, or float32 where the model does not bear that")
