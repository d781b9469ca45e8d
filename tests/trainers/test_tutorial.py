"""The tutorial of preference training as it is written, on a real model, up to a step of training."""

from __future__ import annotations

from pathlib import Path

import pytest

from documentation.code_blocks import commands
from tests.e2e.test_documents import reader_at
from tests.e2e.test_real_vllm import ENGINE_PYTHON
from tests.support.paths import ROOT
from tests.support.stack import stack_home
from tests.trainers.test_trainers import read_by_trainers

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1200)]

ENGINE = {
    "VBATCH_GPU_RUNNER_ENGINE_PYTHON": str(ENGINE_PYTHON),
    "VBATCH_GPU_RUNNER_PREPARE_SCRIPT": str(ROOT / "deploy" / "engine" / "prepare_model.py"),
}


def test_from_examples_to_a_file_that_trl_trains_on(tmp_path: Path):
    exports = tmp_path / "exports"
    exports.mkdir()
    with stack_home(ROOT / "models.toml", ENGINE) as home, reader_at(home) as reader:
        printed = [reader.run(block) for block in commands((ROOT / "docs" / "tutorial-dpo.md").read_text())]
        (exports / "trl-dpo.jsonl").write_bytes((reader.folder / "dpo.jsonl").read_bytes())
        answers = (reader.folder / "dpo.jsonl").read_text()
    assert "Everything is stopped." in printed[-1]
    assert "simulated" not in answers

    found = read_by_trainers(exports, tmp_path / "read.json")["trl-dpo.jsonl"]
    assert len(found["rows"]) >= 5
    assert found["is_conversational"] and 0 < found["loss"] < 100
