"""Makes an engine's Python take this processor for an older one: PyTorch tells vLLM which kernels to load.

Put in front of PYTHONPATH by `devices_study.processors`, which also limits oneDNN, MKL and ATen by their own variables.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable

LEVEL = os.environ.get("BENCH_PRETENDED", "")
LACKING = {
    "avx2": ("avx512", "avx512_vnni", "avx512_bf16", "vnni", "amx_tile", "amx_fp16"),
    "avx512": ("avx512_bf16", "amx_tile", "amx_fp16"),
}


def _no() -> Callable[[], bool]:
    return lambda: False


if LEVEL and importlib.util.find_spec("torch"):  # our own services load this file, too
    import torch.cpu  # type: ignore[import-not-found, unused-ignore]  # lives in the engine's environment

    for name in LACKING[LEVEL]:
        if hasattr(torch.cpu, f"_is_{name}_supported"):
            setattr(torch.cpu, f"_is_{name}_supported", _no())
