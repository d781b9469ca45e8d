"""What a question costs beside batches: time to first token, batch rate kept, overhead, requests a second.

python -m benchmarks.interactive [--only simulated|vllm] [--requests 10000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median, quantiles

import aiohttp
from openai import OpenAI

from benchmarks import batches, report
from tests.support.paths import ROOT
from tests.support.stack import RunningStack, running_stack

VLLM_CHAT = "HuggingFaceTB/SmolLM2-135M-Instruct"
SIMULATED = "simulated-chat"
MODELS = """\
[[model]]
id = "simulated-chat"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
max_num_seqs = 256
"""
REQUESTS, CONNECTIONS, SEQUENTIAL = 10_000, 64, 500
STREAMS, STREAM_PAUSE_SECONDS = 24, 0.25
LINES, TRIALS = 120, 3
PATIENT = {"VBATCH_LOCAL_READY_SECONDS_MAX": "180"}
WORDS = "Tell me something about the number"


def main(only: str | None, requests: int) -> int:
    """What was measured is written after each part: the second one takes minutes."""
    figures: dict[str, report.Figure] = {"load_average_before": round(os.getloadavg()[0], 2)}
    if only != "vllm":
        figures |= simulated(requests)
        target = written(figures)
    if only != "simulated":
        figures |= real()
        target = written(figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<40} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


def written(figures: dict[str, report.Figure]) -> Path:
    figures["load_average_after"] = round(os.getloadavg()[0], 2)
    return report.write("interactive", ["python", "-m", "benchmarks.interactive", *sys.argv[1:]], figures)


def simulated(requests: int) -> dict[str, report.Figure]:
    """The way of a request without the work: the engine answers at once. The client runs on the same cores."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "models.toml"
        path.write_text(MODELS)
        with running_stack(path, PATIENT) as stack:
            return asyncio.run(measured(stack, requests))


async def measured(stack: RunningStack, requests: int) -> dict[str, report.Figure]:
    body, through = question(SIMULATED), f"{stack.url}/v1/chat/completions"
    await timed(through, body, 50)
    lone = await timed(through, body, SEQUENTIAL)
    direct = await timed("http://engine/v1/chat/completions", body, SEQUENTIAL, socket=engine_socket(stack))
    before = cpu_seconds(stack)
    rate = await rate_of(through, body, requests)
    spent = {name: seconds - before[name] for name, seconds in cpu_seconds(stack).items()}
    return {
        "gateway_overhead_ms_p50": round(1_000 * (median(lone) - median(direct)), 3),
        "latency_through_gateway_ms_p50": round(1_000 * median(lone), 3),
        "latency_of_engine_ms_p50": round(1_000 * median(direct), 3),
        "requests_per_second_simulated": round(rate, 1),
        **{f"{name}_cpu_us_per_request": round(1e6 * seconds / requests, 1) for name, seconds in spent.items()},
    }


def question(model: str, *, number: int = 0, stream: bool = False) -> bytes:
    messages = [{"role": "user", "content": f"{WORDS} {number}."}]
    body = {"model": model, "messages": messages, "max_tokens": 48, "temperature": 0}
    return json.dumps(body | ({"stream": True} if stream else {})).encode()


async def timed(url: str, body: bytes, count: int, *, socket: str | None = None) -> list[float]:
    """One after another, over one connection."""
    connector = aiohttp.UnixConnector(socket) if socket else aiohttp.TCPConnector()
    async with aiohttp.ClientSession(connector=connector, headers={"Content-Type": "application/json"}) as http:
        return [await _asked(http, url, body) for _ in range(count)]


async def rate_of(url: str, body: bytes, count: int) -> float:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), headers={"Content-Type": "application/json"}
    ) as http:

        async def ask_some() -> None:
            for _ in range(count // CONNECTIONS):
                await _asked(http, url, body)

        began = time.perf_counter()
        await asyncio.gather(*(ask_some() for _ in range(CONNECTIONS)))
        return count // CONNECTIONS * CONNECTIONS / (time.perf_counter() - began)


async def _asked(http: aiohttp.ClientSession, url: str, body: bytes) -> float:
    began = time.perf_counter()
    async with http.post(url, data=body) as answer:
        content = await answer.read()
        if answer.status != 200:
            sys.exit(f"{url} answered {answer.status}: {content[:300]!r}")
    return time.perf_counter() - began


def cpu_seconds(stack: RunningStack) -> Mapping[str, float]:
    return {name: sum(stack.process(service).cpu_times()[:2]) for name, service in NAMES.items()}


NAMES = {"gateway": "gateway", "runner": "gpu-runner"}


def engine_socket(stack: RunningStack) -> str:
    places = (str(end.laddr) for end in stack.engine().net_connections("unix"))
    return next(place for place in places if place.endswith(".sock"))


def real() -> dict[str, report.Figure]:
    """Time to first token of a stream on an idle device and beside a batch, and what the batch loses, on vLLM."""
    python = os.environ.get("VBATCH_GPU_RUNNER_ENGINE_PYTHON", str(ROOT / ".engine" / "bin" / "python"))
    engine = {
        "VBATCH_GPU_RUNNER_ENGINE_PYTHON": python,
        "VBATCH_GPU_RUNNER_PREPARE_SCRIPT": str(ROOT / "deploy" / "engine" / "prepare_model.py"),
    }
    environment = {**engine, **PATIENT, "VBATCH_GATEWAY_INTERACTIVE_WAIT_SECONDS": "600"}
    with running_stack(ROOT / "models.toml", environment) as stack, stack.client() as client:
        first_token(client)
        idle = [first_token(client, number) for number in range(STREAMS // 2)]
        alone = batch_seconds(client, LINES)
        beside: list[float] = []
        with_questions = batch_seconds(client, LINES, beside)
        errors = [estimate_error(client, 30 * (trial + 1)) for trial in range(TRIALS)]
    return {
        "ttft_idle_ms_p50": round(1_000 * median(idle), 1),
        "ttft_beside_batch_ms_p50": round(1_000 * median(beside), 1),
        "ttft_p50_vs_idle": round(median(beside) / median(idle), 2),
        "ttft_p99_vs_idle": round(percentile_99(beside) / percentile_99(idle), 2),
        "batch_rate_kept": round(alone / with_questions, 3),
        "streams_beside_batch": len(beside),
        "estimate_error_median": round(median(errors), 3),
    }


def first_token(client: OpenAI, number: int = 0) -> float:
    """Seconds until the first word; the rest is read, too."""
    began = time.perf_counter()
    stream = client.chat.completions.create(
        model=VLLM_CHAT,
        messages=[{"role": "user", "content": f"{WORDS} {number}."}],
        max_tokens=24,
        temperature=0,
        stream=True,
    )
    first = 0.0
    for chunk in stream:
        if not first and chunk.choices and chunk.choices[0].delta.content:
            first = time.perf_counter() - began
    return first


def batch_seconds(client: OpenAI, lines: int, seconds_to_first: list[float] | None = None) -> float:
    """Run a batch; with a list, a client asks all the while, and its times are appended."""
    uploaded = client.files.create(file=("in.jsonl", file_of(lines)), purpose="batch")
    batch = batches.create(client, uploaded.id)
    while client.batches.retrieve(batch.id).status == "validating":
        time.sleep(0.1)
    began, number = time.perf_counter(), 0
    while client.batches.retrieve(batch.id).status not in ("completed", "failed", "expired"):
        if seconds_to_first is not None:
            seconds_to_first.append(first_token(client, 1_000 + number))
            number += 1
        time.sleep(STREAM_PAUSE_SECONDS)
    return time.perf_counter() - began


def estimate_error(client: OpenAI, lines: int) -> float:
    """The relative error of the work that a dry run tells, against what the batch then took."""
    uploaded = client.files.create(file=("in.jsonl", file_of(lines)), purpose="batch")
    ask = {"input_file_id": uploaded.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    told = client.post("/batches", cast_to=object, body=ask | {"dry_run": {"lines": 3}})
    if not isinstance(told, dict):
        sys.exit(f"a dry run answered {told}")
    seconds = batch_seconds(client, lines)
    return abs(float(told["estimate"]["work_seconds"]) - seconds) / seconds


def file_of(lines: int) -> bytes:
    bodies = [json.loads(question(VLLM_CHAT, number=number)) for number in range(lines)]
    return b"".join(
        json.dumps({"custom_id": f"c{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}).encode()
        + b"\n"
        for number, body in enumerate(bodies)
    )


def percentile_99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100, method="inclusive")[98]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("simulated", "vllm"))
    parser.add_argument("--requests", type=int, default=REQUESTS)
    given = parser.parse_args()
    sys.exit(main(given.only, given.requests))
