"""`vbatch tune` on the simulated engine: a larger size is faster there, so it must be found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vbatch.chassis.files import hold_lock
from vbatch.cli.exits import Exit
from vbatch.cli.main import app
from vbatch.gateway.core.model_file import read_model_file

pytestmark = pytest.mark.integration

MODELS = """
[[model]]
id = "small"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
max_num_seqs = 8
arguments = { latency-seconds = 0.1 }

[[model]]
id = "broken"
engine = "simulated"
arguments = { fail-to-start = true }
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("VBATCH_HOME", str(tmp_path))
    path = tmp_path / "models.toml"
    path.write_text(MODELS)
    yield path


def command(models: Path, model: str, *options: str) -> Result:
    return CliRunner().invoke(app, ["tune", model, "--models", str(models), *options])


def test_the_best_profile_is_found_and_printed(models: Path):
    result = command(models, "small")
    assert result.exit_code == 0, result.output
    assert "Best: max-num-seqs 16." in result.output
    assert '"max-num-seqs"' not in result.output and "max-num-seqs = 16 }" in result.output
    assert models.read_text() == MODELS


def test_the_best_profile_is_written_where_that_is_asked_for(models: Path):
    result = command(models, "small", "--write")
    assert result.exit_code == 0, result.output
    small = next(definition for definition in read_model_file(models.read_text()) if definition.id == "small")
    assert small.cpu.arguments["max-num-seqs"] == 16


def test_a_model_of_which_nothing_comes_up_is_told_in_its_own_words(models: Path):
    result = command(models, "broken")
    assert result.exit_code == int(Exit.FAILED)
    assert "failing to start, as asked for" in result.output


def test_a_device_in_use_is_left_alone(models: Path, tmp_path: Path):
    folder = tmp_path / "run" / "gpu0"
    folder.mkdir(parents=True)
    with hold_lock(folder / "lock"):
        result = command(models, "small")
    assert result.exit_code == int(Exit.FAILED) and "vbatch down" in result.output
