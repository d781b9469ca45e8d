"""Whoever copies the commands of a page line by line gets where the page says. The engine is simulated and slow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from documentation.code_blocks import commands
from tests.support.paths import ROOT
from tests.support.reader import Reader
from tests.support.stack import RunningStack, stack_home
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gateway.core.model_file import read_model_file
from vbatch.local.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

ANSWER_SECONDS = 1.0
"""Long enough for a batch to be cancelled in its middle, short enough for the test."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[RunningStack]:
    """Ports and models of a stack that the page itself will start."""
    models = tmp_path / "models.toml"
    models.write_text("\n".join(map(_as_toml, _simulated_models())))
    with stack_home(models) as prepared:
        yield prepared


@pytest.fixture
def reader(home: RunningStack) -> Iterator[Reader]:
    with reader_at(home) as copying:
        yield copying


@contextmanager
def reader_at(home: RunningStack) -> Iterator[Reader]:
    """Someone in a fresh clone, whose state is in its folder `var`."""
    project = home.home / "project"
    project.mkdir(mode=0o711)
    for name in (".venv", "examples"):
        (project / name).symlink_to(ROOT / name)
    environment = {name: value for name, value in os.environ.items() if name != "VBATCH_HOME"}
    url = {"OPENAI_BASE_URL": f"{home.url}/v1", "OPENAI_API_KEY": "none"}
    copying = Reader(project, environment | url, home.settings.gateway_port)
    try:
        yield copying
    finally:
        copying.leave()
        for state in (project / "var", home.home / "vbatch-data"):  # a page that failed has not stopped its server
            Stack(home.settings.model_copy(update={"home": state})).down()


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md", "docs/tutorial-dpo.md", "docs/how-to.md"])
def test_the_commands_of_a_page_work_as_they_are_written(reader: Reader, page: str):
    printed = {block.line: reader.run(block) for block in commands((ROOT / page).read_text())}
    assert len(printed) >= 3
    assert "Everything is stopped." in printed[max(printed)]


def _simulated_models() -> list[ModelDefinition]:
    """Those of the shipped file, each answered by the simulated engine."""
    shipped = read_model_file((ROOT / "models.toml").read_text())
    return [
        ModelDefinition(
            id=model.id,
            engine=EngineKind.SIMULATED,
            endpoints=model.endpoints,
            max_num_seqs=64,
            arguments={"latency-seconds": ANSWER_SECONDS},
        )
        for model in shipped
    ]


def _as_toml(model: ModelDefinition) -> str:
    fields = msgspec.to_builtins(model)
    arguments = ", ".join(f"{name} = {value}" for name, value in fields.pop("arguments").items())
    lines = [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in fields.items()]
    return "\n".join(["[[model]]", *lines, f"arguments = {{ {arguments} }}", ""])
