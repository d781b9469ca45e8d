"""The files of a model on this machine: reads their headers, and preloads them into the page cache."""

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
"""The limit of the format itself (safetensors, "Format")."""
SIZE_BYTES = 8
SLEEPER_BYTES = GIB * 6 // 5
"""What a sleeping model leaves on a GPU according to published logs (1.14-1.19 GiB); not measured here."""


def folder_of(source: str) -> Path | None:
    """Return the model's folder or its snapshot in the Hugging Face cache; None if it has not been fetched yet."""
    if Path(source).is_dir():
        return Path(source)
    snapshots = _hub_cache() / f"models--{source.replace('/', '--')}" / "snapshots"
    found = sorted(snapshots.iterdir(), key=lambda path: path.stat().st_mtime) if snapshots.is_dir() else []
    return found[-1] if found else None


def shape_in(folder: Path) -> ModelShape | None:
    """Return the model's shape; None if its files are of a kind that we cannot read, so the model is not refused."""
    try:
        weights = sum(map(_tensor_bytes, _weight_files(folder)))
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, KeyError):
        return None
    return shape_of(config, weights) if weights and isinstance(config, dict) else None


def shape_of_source(source: str) -> ModelShape | None:
    """Return the shape of the model at `source`; None if it has yet to be fetched or its files are of another kind."""
    folder = folder_of(source) if source else None
    return shape_in(folder) if folder else None


def refusal_of(definition: ModelDefinition, source: str, device: Device) -> str | None:
    """Return why the model cannot fit the device; None if it can, or if too little is known."""
    found = _fit_of(definition, source, device)
    return None if found is None or found.is_fit else found.refusal()


def need_of(definition: ModelDefinition, source: str, device: Device) -> Need:
    """Return the memory that the model takes once it is loaded."""
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
    """Ask the kernel to read the weights into its page cache. Returns at once, with the number of bytes requested."""
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
    """Return the length of the tensors in a file, from its header."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(SIZE_BYTES), "little")
        if size > HEADER_BYTES_MAX:
            raise ValueError(f"{path} is not a safetensors file")
        header = json.loads(file.read(size))
    return max((tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"), default=0)


def _hub_cache() -> Path:
    """Return the folder where huggingface_hub keeps what it fetches (its constants.py)."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    return Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()
