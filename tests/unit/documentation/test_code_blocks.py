"""The blocks that pages show can be used: TOML is valid, and what no test runs says why."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from documentation.code_blocks import SHELL, TOML, code_blocks, commands
from documentation.settings_page import SERVICES, configuration_page
from tests.support.paths import ROOT
from vbatch.chassis.settings import CONFIG_VARIABLE, ServiceSettings
from vbatch.gateway.core.model_file import read_model_file

PAGE = """\
# A page
```sh
echo one
```
<!-- not run by the tests: it needs a card -->
```sh
nvidia-smi
```
```python
print(1)
```
"""


def test_blocks_are_found_in_order_with_their_lines():
    assert [(block.language, block.text, block.line) for block in code_blocks(PAGE)] == [
        ("sh", "echo one\n", 2),
        ("sh", "nvidia-smi\n", 6),
        ("python", "print(1)\n", 9),
    ]


def test_a_marked_block_is_left_out_and_its_reason_is_kept():
    assert [block.text for block in commands(PAGE)] == ["echo one\n", "print(1)\n"]
    assert [block.excluded for block in code_blocks(PAGE) if block.excluded] == ["it needs a card"]


@pytest.mark.parametrize("page", ["docs/how-to.md", "docs/quickstart-gpu.md"])
def test_the_model_entries_of_a_page_are_valid(page: str):
    entries = [block.text for block in code_blocks((ROOT / page).read_text()) if block.language == TOML]
    assert all(read_model_file(text) for text in entries)


@pytest.mark.parametrize("service", SERVICES[:4], ids=lambda service: service.section)
def test_the_settings_file_of_the_configuration_page_can_be_used(
    service: type[ServiceSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (text,) = [block.text for block in code_blocks(configuration_page()) if block.language == TOML]
    path = tmp_path / "settings.toml"
    path.write_text(text)
    monkeypatch.setenv(CONFIG_VARIABLE, str(path))
    monkeypatch.setenv("VBATCH_POSTGRES_URL", "postgresql://localhost/read_model")
    assert service().log_level == tomllib.loads(text)["log_level"] == "warning"


def test_the_pages_that_people_copy_from_have_commands():
    for page in ("README.md", "docs/tutorial.md", "docs/how-to.md"):
        assert any(block.language == SHELL for block in commands((ROOT / page).read_text()))
