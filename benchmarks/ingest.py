"""From a file on disk to a plan: how fast a large file is uploaded, checked and ordered, and what the order gains.

python -m benchmarks.ingest [--requests 50000] [--many 1000000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import million, report
from benchmarks.processes import Sampler
from tests.support.prefix_cache import BLOCK_BYTES, hit_share, question_major
from tests.support.stack import CHAT, running_stack
from vbatch.contracts.endpoints import CHAT_COMPLETIONS
from vbatch.contracts.ids import ModelId
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.planning.validation import FileCheck, FileRules

REQUESTS, LINE_BYTES = 50_000, 4_000
MANY, MANY_LINE_BYTES = 1_000_000, 500
TEXTS = 1_000
"""The number of different prompt prefixes in a file; the requests of a group are far apart in the file."""
DOCUMENTS, QUESTIONS = 128, 4
CACHE_PERCENTS = (10, 50)
"""The sizes of the simulated prefix cache, in percent of all documents."""
TRIES = 3
MEGABYTE = 1_000_000


def main(requests: int, many: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        figures = {**measure_ingest(Path(folder) / "in", requests, many), **prefix_hits()}
    if many:
        figures |= million.measure(many)
    command = ["python", "-m", "benchmarks.ingest", f"--requests {requests}", f"--many {many}"]
    target = report.write("ingest", command, figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<40} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


def measure_ingest(path: Path, requests: int, many: int) -> dict[str, report.Figure]:
    figures: dict[str, report.Figure] = {"requests": requests, "input_mb": write_requests(path, requests, LINE_BYTES)}
    figures |= upload(path) | plan(path, requests)
    if many:
        figures |= {"many_requests": many, "many_input_mb": write_requests(path, many, MANY_LINE_BYTES)}
        figures |= plan(path, many)
    return figures


def write_requests(path: Path, count: int, line_bytes: int) -> float:
    """Write the file; return its size in megabytes."""
    with path.open("wb") as file:
        file.writelines(request_lines(count, line_bytes))
    return round(path.stat().st_size / MEGABYTE, 1)


def request_lines(count: int, line_bytes: int) -> Iterator[bytes]:
    piece = 'he said "it"\n'
    for number in range(count):
        beginning = f"Text {number % TEXTS}: "
        room = line_bytes - len(request_line(number, beginning))
        yield request_line(number, beginning + piece * max(0, room // (len(json.dumps(piece)) - 2)) + f"And {number}?")


def request_line(number: int, content: str) -> bytes:
    messages = [{"role": "user", "content": content}]
    body = {"model": CHAT, "messages": messages, "max_tokens": 16}
    request = {"custom_id": f"request-{number}", "method": "POST", "url": CHAT_COMPLETIONS, "body": body}
    return json.dumps(request).encode() + b"\n"


def upload(path: Path) -> dict[str, report.Figure]:
    """Upload with the official client through the gateway, until the file is durable; the best of several tries."""
    size, seconds = path.stat().st_size, []
    with running_stack() as stack, stack.client() as client:
        with Sampler({"gateway": stack.pid("gateway")}, {}) as sampler:
            for _ in range(TRIES):
                began = time.monotonic()
                stored = client.files.create(file=path, purpose="batch")
                seconds.append(time.monotonic() - began)
    if stored.bytes != size:
        sys.exit(f"{stored.bytes} bytes were stored of {size}: nothing was measured")
    return {
        "upload_seconds": round(min(seconds), 3),
        "upload_mb_per_s": round(size / MEGABYTE / min(seconds), 1),
        "upload_peak_rss_mb_gateway": round(sampler.peak_bytes["gateway"] / MEGABYTE, 1),
        "upload_cpu_seconds_gateway": round(sampler.cpu_seconds["gateway"] / TRIES, 3),
    }


def plan(path: Path, requests: int) -> dict[str, report.Figure]:
    """Plan the file in the scheduler's worker process."""
    argv = [sys.executable, "-m", "benchmarks.planning", str(path), CHAT, str(requests)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    count = f"{requests // 1_000_000}m" if requests >= 1_000_000 else f"{requests // 1_000}k"
    figures = json.loads(done.stdout)
    return {
        f"plan_seconds_{count}": round(figures["seconds"], 3),
        f"plan_cpu_seconds_{count}": round(figures["cpu_seconds"], 3),
        f"peak_rss_mb_planner_{count}": round(figures["peak_rss_mb"], 1),
    }


def prefix_hits() -> dict[str, report.Figure]:
    """The share of prompt blocks that a prefix cache has, in file order and in plan order, on a question-major file."""
    prompts = question_major(DOCUMENTS, QUESTIONS)
    planned = in_plan_order(prompts)
    blocks = sum(len(prompt) // BLOCK_BYTES for prompt in prompts[:DOCUMENTS])
    figures: dict[str, report.Figure] = {}
    for percent in CACHE_PERCENTS:
        for name, texts in (("file", prompts), ("plan", planned)):
            share = hit_share(map(str.encode, texts), blocks * percent // 100)
            figures[f"prefix_hit_share_{name}_order_cache_{percent}_percent"] = round(share, 3)
    figures["prefix_hit_share_unbounded_cache"] = round(hit_share(map(str.encode, prompts), sys.maxsize), 3)
    return figures


def in_plan_order(prompts: Sequence[str]) -> list[str]:
    check = FileCheck(FileRules(CHAT_COMPLETIONS, {ModelId(CHAT): (CHAT_COMPLETIONS,)}))
    check.feed(b"".join(request_line(number, prompt) for number, prompt in enumerate(prompts)))
    planned = check.result(lambda refs: [])
    if not isinstance(planned, Plan):
        sys.exit(f"the file was refused: {planned}")
    return [prompts[line - 1] for line in planned.order]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--many", type=int, default=MANY)
    asked = parser.parse_args()
    sys.exit(main(asked.requests, asked.many))
