"""What an interactive request costs beside batches: time to first token, batch rate kept, overhead, requests per
second.

python -m benchmarks.interactive [--only simulated|vllm] [--requests 20000] [--lines 120]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median, quantiles

from openai import OpenAI

from benchmarks import batches, report
from benchmarks.http_load import Target, put_load
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
REQUESTS, ROUNDS, CONNECTIONS, SEQUENTIAL = 20_000, 3, 64, 500
STREAMS, STREAM_PAUSE_SECONDS = 24, 0.25
LINES, TRIALS = 120, 3
PATIENT = {"VBATCH_LOCAL_READY_SECONDS_MAX": "180"}
WORDS = "Tell me something about the number"


def main(only: str | None, requests: int, lines: int) -> int:
    """Results are written after each part, because the second one takes minutes."""
    figures: dict[str, report.Figure] = {"load_average_before": round(os.getloadavg()[0], 2)}
    if only != "vllm":
        figures |= simulated(requests)
        target = written(figures)
    if only != "simulated":
        for measured_now in real(lines):
            figures |= measured_now
            target = written(figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<40} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


def written(figures: dict[str, report.Figure]) -> Path:
    figures["load_average_after"] = round(os.getloadavg()[0], 2)
    return report.write("interactive", ["python", "-m", "benchmarks.interactive", *sys.argv[1:]], figures)


def simulated(requests: int) -> dict[str, report.Figure]:
    """The path of a request without the work: the engine answers at once. The client runs on the same cores."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "models.toml"
        path.write_text(MODELS)
        with running_stack(path, PATIENT) as stack:
            return measured(stack, requests)


def measured(stack: RunningStack, requests: int) -> dict[str, report.Figure]:
    """Rates are those of the best round: other work on the machine can only lower them."""
    body, through = question(SIMULATED), Target(f"{stack.url}/v1/chat/completions")
    put_load(through, body, 50)
    engine = Target("http://engine/v1/chat/completions", engine_socket(stack))
    lone, direct = put_load(through, body, SEQUENTIAL), put_load(engine, body, SEQUENTIAL)
    rounds = [round_of(stack, through, body, requests) for _ in range(ROUNDS)]
    best = max(rounds, key=lambda each: each["requests_per_second_simulated"])
    return {
        "gateway_overhead_ms_p50": round(1_000 * (median(lone.latencies) - median(direct.latencies)), 3),
        "latency_through_gateway_ms_p50": round(1_000 * median(lone.latencies), 3),
        "latency_of_engine_ms_p50": round(1_000 * median(direct.latencies), 3),
        **best,
    }


def round_of(stack: RunningStack, target: Target, body: bytes, requests: int) -> dict[str, float]:
    before = cpu_seconds(stack)
    load = put_load(target, body, requests, CONNECTIONS)
    spent = {name: seconds - before[name] for name, seconds in cpu_seconds(stack).items()}
    spent["client"] = load.client_cpu_seconds
    return {
        "requests_per_second_simulated": round(load.rate, 1),
        "latency_under_load_ms_p50": round(1_000 * median(load.latencies), 3),
        **{f"{name}_cpu_us_per_request": round(1e6 * seconds / requests, 1) for name, seconds in spent.items()},
    }


def question(model: str, *, number: int = 0, stream: bool = False) -> bytes:
    messages = [{"role": "user", "content": f"{WORDS} {number}."}]
    body = {"model": model, "messages": messages, "max_tokens": 48, "temperature": 0}
    return json.dumps(body | ({"stream": True} if stream else {})).encode()


def cpu_seconds(stack: RunningStack) -> Mapping[str, float]:
    processes = {"gateway": stack.process("gateway"), "runner": stack.process("gpu-runner"), "engine": stack.engine()}
    return {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}


def engine_socket(stack: RunningStack) -> str:
    places = (str(end.laddr) for end in stack.engine().net_connections("unix"))
    return next(place for place in places if place.endswith(".sock"))


def real(lines: int) -> Iterator[dict[str, report.Figure]]:
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
        yield {"ttft_idle_ms_p50": round(1_000 * median(idle), 1)}
        alone = batch_seconds(client, lines)
        beside: list[float] = []
        with_questions = batch_seconds(client, lines, beside)
        yield {
            "ttft_beside_batch_ms_p50": round(1_000 * median(beside), 1),
            "ttft_p50_vs_idle": round(median(beside) / median(idle), 2),
            "ttft_p99_vs_idle": round(percentile_99(beside) / percentile_99(idle), 2),
            "batch_rate_kept": round(alone / with_questions, 3),
            "streams_beside_batch": len(beside),
        }
        errors = [estimate_error(client, 30 * (trial + 1)) for trial in range(TRIALS)]
        yield {"estimate_error_median": round(median(errors), 3)}


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
    """Run a batch; return its seconds. If a list is given, a client sends requests all the time, and their times are
    appended."""
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
    """The relative error of the work that a dry run estimates, compared with what the batch then took."""
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
    return quantiles(seconds, n=100, method="inclusive")[98] if len(seconds) > 1 else seconds[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("simulated", "vllm"))
    parser.add_argument("--requests", type=int, default=REQUESTS, help="to the simulated engine, a round")
    parser.add_argument(
        "--lines", type=int, default=LINES, help="of the batch on vLLM: enough for some streams beside it"
    )
    given = parser.parse_args()
    sys.exit(main(given.only, given.requests, given.lines))
