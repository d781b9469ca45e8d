"""What a model's files say of it before anything of it is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.adapters.engine.pool.model_files import folder_of, read_ahead, refusal_of, shape_in
from vbatch.gpu_runner.core.command import Device, DeviceKind
from vbatch.gpu_runner.core.fit import GIB

CONFIG = {
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "hidden_size": 4096,
    "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
}
GPU = Device(DeviceKind.NVIDIA, "RTX 4080", 16 * GIB)


def written(folder: Path, weights_bytes: int) -> Path:
    """A model folder of two files that claim so many bytes of weights together, and hold none."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    for number in (1, 2):
        header = json.dumps({"__metadata__": {}, "w": {"data_offsets": [0, weights_bytes // 2]}}).encode()
        (folder / f"model-{number}.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    return folder


def test_weights_are_summed_from_the_headers(tmp_path: Path):
    shape = shape_in(written(tmp_path / "olmo", 14_600_000_000))
    assert shape is not None
    assert (shape.weights_bytes, shape.kv_heads, shape.head_size) == (14_600_000_000, 32, 128)


def test_a_model_that_cannot_fit_is_refused_with_the_sum(tmp_path: Path):
    folder = written(tmp_path / "olmo", 14_600_000_000)
    definition = ModelDefinition(id=ModelId("olmo"), folder=str(folder))
    refusal = refusal_of(definition, str(folder), GPU)
    assert refusal is not None and "weights 13.6 GiB" in refusal
    fitting = ModelDefinition(id=ModelId("olmo"), folder=str(folder), arguments={"quantization": "fp8"})
    assert refusal_of(fitting, str(folder), GPU) is None


@pytest.mark.parametrize("spoilt", ["config.json", "model-1.safetensors"])
def test_files_that_cannot_be_read_refuse_nothing(tmp_path: Path, spoilt: str):
    folder = written(tmp_path / "olmo", 14_600_000_000)
    (folder / spoilt).write_bytes(b"\xff" * 20)
    assert shape_in(folder) is None


def test_a_model_of_the_hub_is_found_where_it_was_fetched_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert folder_of("org/small") is None
    snapshot = written(tmp_path / "models--org--small" / "snapshots" / "abc", 1_000)
    assert folder_of("org/small") == snapshot


def test_no_more_is_read_ahead_than_there_is_room_for(tmp_path: Path):
    folder = written(tmp_path / "small", 1_000)
    size = (folder / "model-1.safetensors").stat().st_size
    assert read_ahead(folder, size * 10) == 2 * size
    assert read_ahead(folder, size) == size
