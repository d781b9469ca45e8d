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
BINDING, THREADS = "VLLM_CPU_OMP_THREADS_BIND", "OMP_NUM_THREADS"
NO_BINDING = "nobind"
"""vLLM's value for threads that are counted but not bound to cores (vllm/utils/ompmultiprocessing.py)."""
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
        *_binding(processor),
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
    taken |= {THREADS} if BINDING in said else set()
    return tuple(choice for choice in choices if choice.name not in taken)


def _said(definition: ModelDefinition, *, is_cpu: bool) -> Mapping[str, ArgumentValue]:
    own, cpu = definition, definition.cpu if is_cpu else DeviceOverrides()
    arguments = {name.replace("_", "-"): value for name, value in {**own.arguments, **cpu.arguments}.items()}
    return {**arguments, **own.environment, **cpu.environment}


def _dtype(processor: Processor) -> tuple[Choice, ...]:
    found = next((rule for rule in DTYPES if rule[0] in processor.features), None)
    return (Choice(DTYPE, found[1], found[2]),) if found else ()


def _binding(processor: Processor) -> tuple[Choice, ...]:
    """Bind each thread of the engine to its own core; bind none if a cgroup grants time instead of cores."""
    cores, reason = _cores(processor)
    if not cores:
        return ()
    if processor.quota is not None and processor.quota < len(cores):
        count = max(1, int(processor.quota))
        granted = f"this container may use {processor.quota:g} of {len(processor.logical_cores)} processors"
        return (Choice(BINDING, NO_BINDING, granted), Choice(THREADS, str(count), granted))
    return (Choice(BINDING, ",".join(str(core.number) for core in cores), reason),)


def core_bindings(processor: Processor) -> tuple[str, ...]:
    """The bindings worth measuring: every core, one thread a core, and one core left to what feeds the engine. There is
    none where a cgroup grants time instead of cores."""
    every = list(processor.logical_cores)
    if len(every) < 2 or (processor.quota is not None and processor.quota < len(every)):
        return ()
    single = _one_thread_each(every)
    ways = (every, single, single[1:] or every)
    return tuple(dict.fromkeys(",".join(str(core.number) for core in way) for way in ways))


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
