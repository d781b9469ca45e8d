"""The simulator compared with the real stack: `./taskw bench:policy:real` runs twelve batches of three models through
the whole stack on simulated engines, and through the study's virtual service, and compares the order and times.

Load times and rates of the engines are set; the length of a load in the stack is read from the log, since it includes
the start of a process. Writes benchmarks/results/policy_real.json.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from random import Random
from statistics import fmean

from openai import OpenAI

from benchmarks import report
from benchmarks.batches import create
from benchmarks.policy_study.service import Engine, Load, Service, usage
from tests.e2e.asking import chat_line, jsonl
from tests.support.stack import RunningStack, running_stack
from vbatch.contracts.ids import BatchId, ModelId
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.core.state.cost_model import units

MODELS, BATCHES = 3, 12
SEQUENCES, LATENCY_SECONDS, LOAD_SECONDS = 8, 0.5, 3.0
WINDOW = SEQUENCES + 32
"""The number of requests that the runner keeps inside such an engine."""
TOKENS = 8
REQUESTS_MIN, REQUESTS_MAX = 16, 200
POLL_SECONDS, END_SECONDS_MAX, DAY = 0.5, 600.0, 86_400.0

MODEL = """\
[[model]]
id = "m{number}"
engine = "simulated"
max_num_seqs = {sequences}
arguments = {{ latency-seconds = {latency}, startup-seconds = {load} }}
"""


@dataclass(frozen=True, slots=True)
class Played:
    """Seconds since the first batch was created."""

    arrived: dict[BatchId, float]
    ended: dict[BatchId, float]

    @property
    def mean_flow(self) -> float:
        return fmean(self.ended[batch_id] - at for batch_id, at in self.arrived.items())


def main() -> None:
    random = Random(7)
    sizes = [(f"m{random.randrange(MODELS)}", random.randint(REQUESTS_MIN, REQUESTS_MAX)) for _ in range(BATCHES)]
    real, names, load_seconds = _real(sizes)
    simulated = _simulated(sizes, real, names, load_seconds)
    figures: dict[str, report.Figure] = {
        "real_vs_simulated_flow_ratio": round(real.mean_flow / simulated.mean_flow, 3),
        "real_vs_simulated_makespan_ratio": round(max(real.ended.values()) / max(simulated.ended.values()), 3),
        "order_agreement": round(_agreement(real, simulated), 3),
        "real_mean_flow_seconds": round(real.mean_flow, 1),
        "load_seconds_mean": round(load_seconds, 2),
        "batches": BATCHES,
    }
    path = report.write("policy_real", ["./taskw", "bench:policy:real"], figures)
    for name, value in figures.items():
        print(f"{name:40} {value}")  # noqa: T201  # the purpose of the task
    print(path)  # noqa: T201


def _real(sizes: list[tuple[str, int]]) -> tuple[Played, list[BatchId], float]:
    with tempfile.TemporaryDirectory(prefix="vbatch-policy-") as folder:
        models = Path(folder) / "models.toml"
        models.write_text("".join(_model(number) for number in range(MODELS)))
        with running_stack(models=models) as stack, stack.client() as client:
            played = _play(client, sizes)
            return played, list(played.arrived), _load_seconds(stack)


def _model(number: int) -> str:
    return MODEL.format(number=number, sequences=SEQUENCES, latency=LATENCY_SECONDS, load=LOAD_SECONDS)


def _play(client: OpenAI, sizes: list[tuple[str, int]]) -> Played:
    files = [
        client.files.create(
            file=("in.jsonl", jsonl(chat_line(number, model) for number in range(count))), purpose="batch"
        )
        for model, count in sizes
    ]
    began = time.monotonic()
    arrived = {BatchId(create(client, file.id).id): time.monotonic() - began for file in files}
    ended: dict[BatchId, float] = {}
    while len(ended) < len(arrived):
        if time.monotonic() - began > END_SECONDS_MAX:
            raise SystemExit(f"only {len(ended)} of {len(arrived)} batches ended: nothing was measured")
        time.sleep(POLL_SECONDS)
        for batch in client.batches.list(limit=100):
            if batch.status == "completed":
                ended.setdefault(BatchId(batch.id), time.monotonic() - began)
    return Played(arrived, ended)


def _load_seconds(stack: RunningStack) -> float:
    listed = stack.vbatch("events", "--type", "runner.model_loaded", "--json").stdout
    return fmean(_seconds(json.loads(line)) for line in listed.splitlines())


def _seconds(record: dict[str, object]) -> float:
    body = record["body"]
    if not isinstance(body, dict):
        raise TypeError("an event has no body")
    return float(body["seconds"])


def _simulated(sizes: list[tuple[str, int]], real: Played, names: list[BatchId], load_seconds: float) -> Played:
    """The same batches with the same arrival times, in the virtual service."""
    rate = SEQUENCES / LATENCY_SECONDS
    engine = Engine(rate * units(1, usage(TOKENS)), load_seconds)
    loads = [
        Load(batch_id, ModelId(model), real.arrived[batch_id], DAY, [TOKENS] * count)
        for batch_id, (model, count) in zip(names, sizes, strict=True)
    ]
    service = Service(DensityPolicy(), {ModelId(f"m{number}"): engine for number in range(MODELS)}, concurrency=WINDOW)
    service.run(loads)
    return Played(real.arrived, service.ended)


def _agreement(one: Played, other: Played) -> float:
    """The share of all pairs of batches that ended in the same order."""
    pairs = list(combinations(one.ended, 2))
    return fmean((one.ended[a] < one.ended[b]) == (other.ended[a] < other.ended[b]) for a, b in pairs)


if __name__ == "__main__":
    main()
