"""The files of a model on this machine: what their headers say, and reading them ahead of their turn."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.core.command import Device, DeviceKind, effective_arguments
from vbatch.gpu_runner.core.fit import GIB, Fit, ModelShape, cpu_cache_bytes, fit, shape_of
from vbatch.gpu_runner.core.model_cache import Need

HEADER_BYTES_MAX = 100_000_000
"""As the format has it (safetensors, "Format")."""
SIZE_BYTES = 8
SLEEPER_BYTES = GIB * 6 // 5
"""What a sleeping model leaves on a GPU, by published logs (1.14-1.19 GiB); not measured here."""


def folder_of(source: str) -> Path | None:
    """Where the model lies: a folder, or a snapshot in the Hugging Face cache; None where it is yet to be fetched."""
    if Path(source).is_dir():
        return Path(source)
    snapshots = _hub_cache() / f"models--{source.replace('/', '--')}" / "snapshots"
    found = sorted(snapshots.iterdir(), key=lambda path: path.stat().st_mtime) if snapshots.is_dir() else []
    return found[-1] if found else None


def shape_in(folder: Path) -> ModelShape | None:
    """None when its files are of another kind than those we can read: then nothing is known against it."""
    try:
        weights = sum(map(_tensor_bytes, _weight_files(folder)))
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, KeyError):
        return None
    return shape_of(config, weights) if weights and isinstance(config, dict) else None


def shape_of_source(source: str) -> ModelShape | None:
    """Of a model that lies at `source`; None where it is yet to be fetched or its files are of another kind."""
    folder = folder_of(source) if source else None
    return shape_in(folder) if folder else None


def refusal_of(definition: ModelDefinition, source: str, device: Device) -> str | None:
    """Why the model cannot fit the device; None when it can, or when too little is known of it."""
    found = _fit_of(definition, source, device)
    return None if found is None or found.is_fit else found.refusal()


def need_of(definition: ModelDefinition, source: str, device: Device) -> Need:
    """What the model takes once it is loaded."""
    found = _fit_of(definition, source, device)
    if found is None:
        return Need(None)
    residue = 0 if device.kind is DeviceKind.CPU else SLEEPER_BYTES
    return Need(found.memory_bytes, residue, found.weights_bytes)


def _fit_of(definition: ModelDefinition, source: str, device: Device) -> Fit | None:
    shape = shape_of_source(source)
    if shape is None:
        return None
    arguments = effective_arguments(definition, device)
    cache = cpu_cache_bytes(arguments, definition.environment | definition.cpu.environment)
    return fit(shape, arguments, device, cache)


def read_ahead(folder: Path, bytes_max: int) -> int:
    """Ask the kernel to have the weights in its page cache; returns at once, with how many bytes it was asked for."""
    asked = 0
    for path in _weight_files(folder):
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if asked + size > bytes_max:
                return asked
            os.posix_fadvise(file.fileno(), 0, size, os.POSIX_FADV_WILLNEED)
            asked += size
    return asked


def _weight_files(folder: Path) -> Iterator[Path]:
    return folder.glob("*.safetensors")


def _tensor_bytes(path: Path) -> int:
    """The length of a file's tensors, from its header."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(SIZE_BYTES), "little")
        if size > HEADER_BYTES_MAX:
            raise ValueError(f"{path} is no safetensors file")
        header = json.loads(file.read(size))
    return max((tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"), default=0)


def _hub_cache() -> Path:
    """Where huggingface_hub keeps what it fetches (its constants.py)."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    return Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()
