"""`vbatch demo` as a process, with simulated models under the names that the examples ask for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import EXAMPLES
from tests.support.stack import RunningStack, stack_home
from vbatch.local import survivors

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

DEMO_SECONDS_MAX = 120.0
MODELS = """\
[[model]]
id = "HuggingFaceTB/SmolLM2-135M-Instruct"
engine = "simulated"
endpoints = ["/v1/chat/completions"]

[[model]]
id = "sentence-transformers/all-MiniLM-L6-v2"
engine = "simulated"
endpoints = ["/v1/embeddings"]
"""


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[RunningStack]:
    models = tmp_path / "models.toml"
    models.write_text(MODELS)
    with stack_home(models) as found:
        yield found


def demo(prepared: RunningStack) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "vbatch.cli", "demo", "--examples", str(EXAMPLES)],
        env=os.environ | dict(prepared.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_demo_answers_both_files_and_leaves_nothing_running(prepared: RunningStack):
    with demo(prepared) as running:
        said, complained = running.communicate(timeout=DEMO_SECONDS_MAX)
    assert running.returncode == 0, said + complained
    assert "sentence-transformers/all-MiniLM-L6-v2 loaded in" in said
    assert "a vector of" in said
    assert len((prepared.home / "demo" / "capitals_output.jsonl").read_text().splitlines()) == 32
    assert survivors.processes_of(prepared.home) == []


def test_a_demo_that_is_interrupted_stops_what_it_started(prepared: RunningStack):
    with demo(prepared) as running:
        assert running.stdout is not None
        while "Watching" not in running.stdout.readline():
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=DEMO_SECONDS_MAX)
    assert running.returncode == 130
    assert survivors.processes_of(prepared.home) == []


def test_a_demo_whose_stack_is_up_already_leaves_it_up(prepared: RunningStack):
    prepared.stack.up()
    with demo(prepared) as running:
        said, complained = running.communicate(timeout=DEMO_SECONDS_MAX)
    assert running.returncode == 0, said + complained
    assert "left running" in said
    assert prepared.stack.status().is_ready
