"""The command itself: every subcommand can be loaded, and none loads the libraries of all others."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer.main
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from vbatch.cli.main import Commands, app

SERVICES = ("vbatch.gateway", "vbatch.gpu_runner", "vbatch.results", "nats", "aiohttp", "httpx2", "tomlkit")
PRINT_VERSION = f"""
import sys
from vbatch.cli.process import main
sys.argv = ["vbatch", "--version"]
try:
    main()
finally:
    print([name for name in {SERVICES} if name in sys.modules])
"""


@pytest.mark.parametrize("name", Commands.entries)
def test_each_command_is_where_the_list_says_and_describes_itself(name: str):
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    command = root.commands[name]
    assert isinstance(command, TyperCommand | TyperGroup)
    assert command.name == name and command.help


def test_the_version_is_printed_without_loading_any_command():
    done = subprocess.run([sys.executable, "-c", PRINT_VERSION], capture_output=True, text=True, check=True)
    version, loaded = done.stdout.splitlines()
    assert version.startswith("vbatch 0.") and loaded == "[]"


def test_a_misspelled_command_is_answered_with_the_one_that_was_meant():
    done = CliRunner().invoke(app, ["statsu"])
    assert done.exit_code == 2 and "Did you mean 'status'?" in done.output
