"""The properties of a processor that decide how a model runs best on it: instruction sets, cores and limits. No I/O."""

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
    """Raised for a name that is not a feature; the text lists the known ones."""


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
        """The number of cores; the hyperthreads of one core count once."""
        return len({core.core for core in self.logical_cores})


def features_in(flags: Iterable[str]) -> frozenset[Feature]:
    """The features among the kernel's flags."""
    return frozenset(Feature(flag) for flag in NAMES.intersection(flags))


def named_features(text: str) -> frozenset[Feature]:
    """Parse a list of names separated by commas or spaces. Raises UnknownFeature."""
    names = text.replace(",", " ").split()
    if unknown := sorted(set(names) - NAMES):
        raise UnknownFeature(f"no such processor feature: {', '.join(unknown)}; there are {', '.join(sorted(NAMES))}")
    return features_in(names)
