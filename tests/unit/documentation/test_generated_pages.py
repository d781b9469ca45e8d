"""The pages that are made from the code are current and leave nothing out."""

from __future__ import annotations

import re

import msgspec
import pytest

from documentation.__main__ import stale_files
from documentation.command_page import cli_page
from documentation.markdown import replaced, table
from documentation.settings_page import SERVICES, configuration_page
from documentation.state_diagram import arcs, state_mermaid, state_svg
from tests.support.paths import ROOT
from vbatch.chassis.settings import ServiceSettings, variable
from vbatch.cli.exits import EXIT_MEANINGS, Exit
from vbatch.contracts.lifecycle import TRANSITIONS, BatchStatus
from vbatch.contracts.models import ModelDefinition


def test_the_committed_pages_are_current():
    assert stale_files() == [], "run `./taskw docs`"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.section)
def test_every_setting_of_a_service_is_listed_with_its_meaning(service: type[ServiceSettings]):
    page = configuration_page()
    listens = service.model_fields["port"].default != 0
    for name, field in service.model_fields.items():
        if name == "port" and not listens:
            continue  # this one only starts others, which listen
        assert f"| `{variable(service, name)}` |" in page
        assert field.description, f"{service.section}.{name} has no description"


def test_every_setting_is_listed_once():
    variables = re.findall(r"^\| `(VBATCH_\w+)` \| `\w+` \|", configuration_page(), re.MULTILINE)
    assert len(variables) == len(set(variables)) > 70


def test_bounds_defaults_and_units_are_shown():
    page = configuration_page()
    assert "| `VBATCH_NATS_REPLICAS` | `nats_replicas` | integer, ≥ 1, ≤ 5 | `1` |" in page
    assert "`209715200` (200 MiB)" in page
    assert "`deadline_aware` or `fifo` | `deadline_aware` |" in page


def test_commands_options_and_variables_are_listed():
    page = cli_page()
    for heading in ("## vbatch submit", "## vbatch events", "## vbatch events show", "## vbatch dead retry"):
        assert f"\n{heading}\n" in page
    assert "| `--priority` | integer, -100 to 100 | `0` |" in page
    assert "Environment variable: `VBATCH_API_KEY`." in page


def test_every_exit_code_has_a_meaning():
    assert set(EXIT_MEANINGS) == set(Exit)
    assert all(f"\n| {int(code)} | {meaning} |" in cli_page() for code, meaning in EXIT_MEANINGS.items())


def test_the_state_diagram_has_every_state_and_every_move():
    picture, words = state_svg(), state_mermaid()
    assert all(f">{status}</text>" in picture for status in BatchStatus)
    assert len(arcs()) == len(TRANSITIONS) == picture.count("<polyline")
    assert all(f"    {arc.source} --> {arc.target} : {arc.event}\n" in words for arc in arcs())


def test_every_field_of_a_model_is_described():
    page = (ROOT / "docs" / "quickstart-gpu.md").read_text()
    missing = [field.name for field in msgspec.structs.fields(ModelDefinition) if f"| `{field.name}` |" not in page]
    assert missing == []


def test_the_pinned_versions_that_the_gpu_page_names_are_those_of_the_lock_file():
    page = (ROOT / "docs" / "quickstart-gpu.md").read_text()
    lock = (ROOT / "deploy" / "engine" / "requirements-gpu.lock").read_text()
    vllm, torch, cuda = (re.search(rf"^{name}==(\d+\.\d+)", lock, re.M) for name in ("vllm", "torch", "cuda-toolkit"))
    assert vllm and torch and cuda
    assert f"vLLM {vllm[1]}" in page and f"PyTorch {torch[1]} for CUDA {cuda[1]}" in page


def test_a_bar_in_a_cell_does_not_end_it():
    assert table(("a",), [("x | y",)]).splitlines()[-1] == "| x \\| y |"


def test_a_page_without_the_marks_cannot_be_filled():
    assert replaced("<!-- generated: m -->old<!-- end: m -->", "m", "new\n").count("new") == 1
    with pytest.raises(ValueError, match="lacks"):
        replaced("<!-- generated: m -->", "m", "new\n")
