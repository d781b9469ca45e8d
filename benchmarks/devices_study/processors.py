"""Processors that this machine can be taken for: the same cores, without some of their instruction sets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SITE = Path(__file__).parent / "pretended"


@dataclass(frozen=True)
class Pretended:
    """`features` are what the runner is told, empty for the real ones; `environment` limits the engine's libraries to
    them. The clock, the caches and the memory are those of this machine, so only ratios within one processor are
    meaningful."""

    name: str
    features: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def _limited(level: str, libraries: Mapping[str, str]) -> dict[str, str]:
    return {"BENCH_PRETENDED": level, "PYTHONPATH": str(SITE), **libraries}


NATIVE = Pretended("native")
AVX512 = Pretended(
    "avx512",
    "avx2,avx512f,avx512_vnni",
    _limited("avx512", {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"}),
)
AVX2 = Pretended(
    "avx2",
    "avx2",
    _limited("avx2", {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}),
)


@contextmanager
def taken_for(processor: Pretended) -> Iterator[None]:
    """Programs started inside the block find the older processor."""
    before = {name: os.environ.get(name) for name in processor.environment}
    os.environ.update(processor.environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
