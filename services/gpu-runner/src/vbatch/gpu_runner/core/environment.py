"""Which variables of the runner's environment an engine gets: only those that programs, compilers, devices and model
hubs are known to need. Cloud credentials, tokens and our own settings are not passed on.

A model that needs others names them in its `environment` in models.toml.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set

PROGRAM = r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TEMP|TMP|TERM|XDG_\w+|VIRTUAL_ENV|PYTHON\w*"
LIBRARIES = r"LD_LIBRARY_PATH|LD_PRELOAD|LIBRARY_PATH|CPATH|C_INCLUDE_PATH|CPLUS_INCLUDE_PATH|CC|CXX|MALLOC_\w+"
THREADS = r"OMP_\w+|GOMP_\w+|KMP_\w+|MKL_\w+|OPENBLAS_\w+|ONEDNN_\w+|DNNL_\w+|NUMEXPR_\w+|TOKENIZERS_PARALLELISM"
DEVICES = r"CUDA_\w+|NVIDIA_\w+|NCCL_\w+|CUDNN_\w+|CUBLAS_\w+|HIP_\w+|ROCR_\w+|ROCM_\w+|HSA_\w+|MIOPEN_\w+|GLOO_\w+"
ENGINES = r"VLLM_\w+|TORCH\w*|PYTORCH_\w+|TRITON_\w+|INDUCTOR_\w+|FLASHINFER_\w+|HF_HOME|HF_HUB_\w+|TRANSFORMERS_\w+"
CERTIFICATES = r"SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
ALWAYS = re.compile("|".join((PROGRAM, LIBRARIES, THREADS, DEVICES, ENGINES, CERTIFICATES)))

HUB = re.compile(r"HF_TOKEN|HF_TOKEN_PATH|HF_ENDPOINT|(?:https?|all|no)_proxy", re.IGNORECASE)
"""Passed only to an engine that may fetch its weights: a proxy's address may hold a password."""
OFFLINE = "HF_HUB_OFFLINE"

NEVER = re.compile(r"VLLM_API_KEY|VLLM_SERVER_DEV_MODE|VLLM_ALLOW_RUNTIME_LORA_UPDATING|VLLM_PLUGINS")
"""Keys and routes for running vLLM by hand; the runner sets what it needs itself."""


def inherited(machine: Mapping[str, str], command: Mapping[str, str], also: Set[str] = frozenset()) -> dict[str, str]:
    """Select variables from `machine` for a command that sets its own; names in `also` are passed on, too."""
    is_offline = command.get(OFFLINE) == "1"
    kept = {name for name in machine if _is_for_engines(name, is_offline=is_offline)} | (also & machine.keys())
    return {name: value for name, value in machine.items() if name in kept}


def _is_for_engines(name: str, *, is_offline: bool) -> bool:
    if NEVER.fullmatch(name):
        return False
    return bool(ALWAYS.fullmatch(name) or (not is_offline and HUB.fullmatch(name)))
