"""What `vbatch rebuild` refuses before it touches anything."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from vbatch.cli.exits import Exit
from vbatch.cli.main import app


@pytest.mark.parametrize(
    "options",
    [("--until", "3", "--switch"), ("--until", "3", "--verify"), ("--clean", "--until", "3"), ("--clean", "--switch")],
)
def test_options_that_exclude_each_other_are_refused(options: tuple[str, ...]):
    done = CliRunner().invoke(app, ["rebuild", *options])
    assert (done.exit_code, "cannot be combined" in done.stderr) == (Exit.USAGE, True)
