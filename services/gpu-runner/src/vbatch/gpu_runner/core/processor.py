"""What a processor has that decides how a model runs on it best: instruction sets, cores and limits. Reads nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Feature(StrEnum):
    """Instruction sets that matter here, as Linux names them in /proc/cpuinfo."""

    AVX2 = "avx2"
    AVX_VNNI = "avx_vnni"
    AVX512 = "avx512f"
    AVX512_VNNI = "avx512_vnni"
    AVX512_BF16 = "avx512_bf16"
    AVX512_FP16 = "avx512_fp16"
    AMX_INT8 = "amx_int8"
    AMX_BF16 = "amx_bf16"
    NEON = "asimd"
    ARM_BF16 = "bf16"
    ARM_I8MM = "i8mm"
    SVE = "sve"


NAMES: frozenset[str] = frozenset(Feature)


class UnknownFeature(ValueError):
    """A name that is no feature; the text lists those that are."""


@dataclass(frozen=True, slots=True)
class LogicalCore:
    """One processor as the kernel counts them. Hyperthreads of one core share `core`; `is_slow` is an efficiency core
    beside faster ones."""

    number: int
    core: int
    node: int = 0
    is_slow: bool = False


@dataclass(frozen=True, slots=True)
class Processor:
    """The logical cores that this process may use; `quota` is how many processors' time a cgroup lets it have."""

    name: str = ""
    features: frozenset[Feature] = frozenset()
    logical_cores: tuple[LogicalCore, ...] = field(default=())
    quota: float | None = None

    @property
    def has_hyperthreads(self) -> bool:
        return len({core.core for core in self.logical_cores}) < len(self.logical_cores)

    @property
    def nodes(self) -> tuple[int, ...]:
        return tuple(sorted({core.node for core in self.logical_cores}))

    @property
    def core_count(self) -> int:
        """Cores, hyperthreads of one counted once."""
        return len({core.core for core in self.logical_cores})


def features_in(flags: Iterable[str]) -> frozenset[Feature]:
    """Those of the kernel's flags that matter here."""
    return frozenset(Feature(flag) for flag in NAMES.intersection(flags))


def named_features(text: str) -> frozenset[Feature]:
    """From a list with commas or spaces between its names. Raises UnknownFeature."""
    names = text.replace(",", " ").split()
    if unknown := sorted(set(names) - NAMES):
        raise UnknownFeature(f"no such processor feature: {', '.join(unknown)}; there are {', '.join(sorted(NAMES))}")
    return features_in(names)
