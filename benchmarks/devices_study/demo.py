"""The demo and `vbatch doctor` as a person runs them, in wall time, with everything installed and prepared
beforehand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.devices_study.processors import Pretended
from tests.support.paths import EXAMPLES, ROOT
from tests.support.stack import stack_home

ANSWERED = re.compile(r"in_progress  [1-9]\d* of|completed  ")
DEMO_SECONDS_MAX = 900.0
READY_SECONDS_MAX = 300.0
"""A busy machine makes the figures worse, but must not make the demo fail."""
LAST_LINES = 20


@dataclass(frozen=True)
class Demo:
    """`first_answer_seconds` from the command to the first answer shown; `seconds` to its end, everything stopped."""

    seconds: float
    first_answer_seconds: float


def demo(engine_python: Path, models: Path, processor: Pretended) -> Demo:
    """Run the demo. `models` is the folder of the prepared models. Exits if the demo fails, because then nothing was
    measured."""
    places = {
        "VBATCH_GPU_RUNNER_ENGINE_PYTHON": str(engine_python),
        "VBATCH_GPU_RUNNER_PREPARE_SCRIPT": str(ROOT / "deploy" / "engine" / "prepare_model.py"),
        "VBATCH_GPU_RUNNER_CPU_FEATURES": processor.features,
        "VBATCH_LOCAL_READY_SECONDS_MAX": str(READY_SECONDS_MAX),
        **processor.environment,
    }
    with stack_home(ROOT / "models.toml", places) as stack:
        (stack.home / "models").symlink_to(models)
        return _timed(os.environ | dict(stack.environment))


def doctor_seconds() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "vbatch.cli", "doctor", "--json"], check=False, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def _timed(environment: Mapping[str, str]) -> Demo:
    began, first, said = time.monotonic(), None, list[str]()
    command = [sys.executable, "-u", "-m", "vbatch.cli", "demo", "--examples", str(EXAMPLES)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            said.append(line)
            if first is None and ANSWERED.search(line):
                first = time.monotonic() - began
        code = running.wait(DEMO_SECONDS_MAX)
    if code or first is None:
        sys.exit(f"the demo ended with code {code}: {''.join(said[-LAST_LINES:])}")
    return Demo(time.monotonic() - began, first)
