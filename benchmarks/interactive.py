"""What an interactive request costs beside batches: time to first token, batch rate kept, overhead, requests per
second.

python -m benchmarks.interactive [--only simulated|vllm] [--requests 20000] [--lines 6000]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

from openai import OpenAI

from benchmarks import batches, report
from benchmarks.http_load import Target, put_load
from tests.support.paths import ROOT
from tests.support.stack import RunningStack, running_stack

NAME = "interactive"
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
IDLE_SECONDS, WARMING_STREAMS, STREAMS_MAX, FIRST_NUMBER = 25, 3, 64, 1_000
TURNS, TURN_SECONDS = (False, True, True, False, False, True), 12
"""Whether streams are asked in a turn beside the batch; the turns of each kind have the same mean time."""
LINES, WARMING_LINES, TRIALS = 6_000, 128, (100, 150, 200)
TOKENS_MIN, TOKENS_SPAN = 24, 49
"""The lines of a batch differ in length, so that they do not end in waves."""
POLL_SECONDS = 0.25
PATIENT = {"VBATCH_LOCAL_READY_SECONDS_MAX": "180"}
WORDS = "Tell me something about the number"


def main(only: str | None, requests: int, lines: int) -> int:
    """Results are written after each part, because the second one takes minutes. The figures of a part that is left out
    stay as they were; each part says when it was measured."""
    figures = figures_before() if only else {}
    if only != "vllm":
        figures |= measured_at("simulated")
        figures |= simulated(requests)
        target = written(figures)
    if only != "simulated":
        figures |= measured_at("vllm")
        for measured_now in real(lines):
            figures |= measured_now
            target = written(figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<40} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


def figures_before() -> dict[str, report.Figure]:
    path = report.RESULTS / f"{NAME}.json"
    return dict(json.loads(path.read_text())["figures"]) if path.exists() else {}


def measured_at(part: str) -> dict[str, report.Figure]:
    load = round(os.getloadavg()[0], 2)
    return {f"{part}_measured_at": datetime.now(UTC).isoformat(timespec="seconds"), f"{part}_load_average": load}


def written(figures: Mapping[str, report.Figure]) -> Path:
    return report.write(NAME, ["python", "-m", "benchmarks.interactive", *sys.argv[1:]], figures)


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
        for number in range(WARMING_STREAMS):
            first_token(client, number)
        idle = seconds_to_first(client, IDLE_SECONDS)
        yield told_of("idle", idle)
        beside, kept = batch_and_questions(client, lines)
        yield told_of("beside_batch", beside) | {
            "ttft_p50_vs_idle": round(median(beside) / median(idle), 2),
            "ttft_p99_vs_idle": round(percentile_99(beside) / percentile_99(idle), 2),
            "batch_rate_kept": round(kept, 3),
        }
        errors: list[float] = []
        for size in TRIALS:
            errors.append(estimate_error(client, size))
            yield {"estimate_error_median": round(median(errors), 3), "estimates": len(errors)}


def told_of(place: str, seconds: Sequence[float]) -> dict[str, report.Figure]:
    return {
        f"ttft_{place}_ms_p50": round(1_000 * median(seconds), 1),
        f"ttft_{place}_ms_p99": round(1_000 * percentile_99(seconds), 1),
        f"streams_{place}": len(seconds),
    }


def seconds_to_first(client: OpenAI, seconds: int) -> list[float]:
    """Start one stream each second, whether or not the ones before have ended, and return what each waited for its
    first word."""
    began = time.perf_counter()
    with ThreadPoolExecutor(STREAMS_MAX) as threads:
        streams = []
        for number in range(seconds):
            time.sleep(max(0.0, began + number - time.perf_counter()))
            streams.append(threads.submit(first_token, client, FIRST_NUMBER + number))
        return [stream.result() for stream in streams]


def batch_and_questions(client: OpenAI, lines: int) -> tuple[list[float], float]:
    """Run one batch, and beside it in turn no streams and one each second. Return what the streams waited, and the
    share of its rate that the batch kept.

    The turns are short and their order is symmetric, so that other work on the machine slows both kinds alike.
    """
    batch = batches.create(client, client.files.create(file=("in.jsonl", file_of(lines)), purpose="batch").id)
    while completed(client, batch.id) < WARMING_LINES:
        time.sleep(0.5)
    waited: list[float] = []
    rates: dict[bool, list[float]] = {False: [], True: []}
    for is_asked in TURNS:
        before, began = completed(client, batch.id), time.perf_counter()
        if is_asked:
            waited += seconds_to_first(client, TURN_SECONDS)
        else:
            time.sleep(TURN_SECONDS)
        rates[is_asked].append((completed(client, batch.id) - before) / (time.perf_counter() - began))
    if client.batches.cancel(batch.id).status == "completed":
        sys.exit("the batch ended before the last turn: it needs more --lines")
    while client.batches.retrieve(batch.id).status == "cancelling":
        time.sleep(0.5)
    return waited, sum(rates[True]) / sum(rates[False])


def completed(client: OpenAI, batch_id: str) -> int:
    counts = client.batches.retrieve(batch_id).request_counts
    return counts.completed if counts else 0


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


def batch_seconds(client: OpenAI, lines: int) -> float:
    """Run a batch; return its seconds from its validation to its end."""
    batch = batches.create(client, client.files.create(file=("in.jsonl", file_of(lines)), purpose="batch").id)
    while client.batches.retrieve(batch.id).status == "validating":
        time.sleep(0.1)
    began = time.perf_counter()
    while client.batches.retrieve(batch.id).status not in ("completed", "failed", "expired"):
        time.sleep(POLL_SECONDS)
    return time.perf_counter() - began


def estimate_error(client: OpenAI, lines: int) -> float:
    """The relative error of the work that a dry run estimates, compared with what the batch then took."""
    uploaded = client.files.create(file=("in.jsonl", file_of(lines)), purpose="batch")
    ask = {"input_file_id": uploaded.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    told = client.post("/batches", cast_to=object, body=ask | {"dry_run": {"lines": 3}})
    if not isinstance(told, dict):
        sys.exit(f"a dry run answered {told}")
    seconds = batch_seconds(client, lines)
    return round(abs(float(told["estimate"]["work_seconds"]) - seconds) / seconds, 3)


def file_of(lines: int) -> bytes:
    bodies = [
        json.loads(question(VLLM_CHAT, number=number)) | {"max_tokens": TOKENS_MIN + 13 * number % TOKENS_SPAN}
        for number in range(lines)
    ]
    return b"".join(
        json.dumps({"custom_id": f"c{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}).encode()
        + b"\n"
        for number, body in enumerate(bodies)
    )


def percentile_99(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=100, method="inclusive")[98] if len(seconds) > 1 else seconds[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("simulated", "vllm"))
    parser.add_argument("--requests", type=int, default=REQUESTS, help="to the simulated engine, a round")
    parser.add_argument(
        "--lines", type=int, default=LINES, help="of the batch on vLLM: more than it runs in two minutes"
    )
    given = parser.parse_args()
    sys.exit(main(given.only, given.requests, given.lines))
