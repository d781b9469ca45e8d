"""A profile is written where it belongs, and nothing else is touched."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from vbatch.cli.models_file import write_profile
from vbatch.contracts.ids import ModelId
from vbatch.gateway.core.model_file import read_model_file
from vbatch.gpu_runner.core.tuning import Profile

SMOLLM = ModelId("HuggingFaceTB/SmolLM2-135M-Instruct")
SIMULATED = ModelId("simulated-chat")
ARGUMENTS = {"enforce-eager": False, "block-size": 16}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    path = tmp_path / "models.toml"
    path.write_text((ROOT / "models.toml").read_text())
    return path


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in lines if line[0] in "+-" and line[1:].strip()]


def test_a_profile_for_the_cpu_adds_one_line(models: Path):
    before, mode = models.read_text(), models.stat().st_mode
    write_profile(models, SMOLLM, Profile(is_of_cpu=True, arguments=ARGUMENTS))
    found = {definition.id: definition for definition in read_model_file(models.read_text())}
    assert found[SMOLLM].cpu.arguments == ARGUMENTS
    assert [line[0] for line in changed_lines(before, models.read_text())] == ["+"]
    assert models.stat().st_mode == mode


def test_a_profile_for_the_gpu_changes_the_size_and_the_arguments(models: Path):
    write_profile(models, SMOLLM, Profile(is_of_cpu=False, arguments=ARGUMENTS, max_num_seqs=96))
    found = {definition.id: definition for definition in read_model_file(models.read_text())}
    assert (found[SMOLLM].max_num_seqs, found[SMOLLM].arguments) == (96, ARGUMENTS)


def test_an_entry_without_a_table_for_the_cpu_gets_one(models: Path):
    write_profile(models, SIMULATED, Profile(is_of_cpu=True, arguments={"max-num-seqs": 8}))
    found = {definition.id: definition for definition in read_model_file(models.read_text())}
    assert found[SIMULATED].cpu.arguments == {"max-num-seqs": 8}
    assert set(found) == {definition.id for definition in read_model_file((ROOT / "models.toml").read_text())}
