"""What the device's choices are worth: `./taskw bench:devices` runs real vLLM with them, with vLLM's own defaults and
with a small grid around them, then the demo and `vbatch doctor`, and writes benchmarks/results/devices.json.

`-- --pretended` does the same on what is left of this processor without some of its instruction sets, and writes
devices_pretended.json: the kernels that an older one would run (vLLM's, oneDNN's, MKL's and ATen's), on this one's
clock, caches and memory, so only ratios inside one processor mean anything. `-- --quick` only shows that it works.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.devices_study.demo import demo, doctor_seconds
from benchmarks.devices_study.grid import CHOSEN, DEFAULT, Lab, Point, grid, measured
from benchmarks.devices_study.processors import NATIVE, PRETENDED, Pretended
from tests.support.paths import ROOT
from vbatch.gpu_runner.adapters.machine import read_processor
from vbatch.gpu_runner.core.choices import DTYPE, processor_choices
from vbatch.gpu_runner.core.tuning import Trial

CHAT, EMBEDDING = "HuggingFaceTB/SmolLM2-135M-Instruct", "sentence-transformers/all-MiniLM-L6-v2"
SHORT = {CHAT: "chat", EMBEDDING: "embedding"}
REQUESTS = {CHAT: 160, EMBEDDING: 1_600}
SLOW_SHARE = 8
"""A pretended processor gets so much less of the work: it is that much slower."""
ENGINE_PYTHON = ROOT / ".engine" / "bin" / "python"
HOME = ROOT / "var" / "bench-devices"


def main(arguments: argparse.Namespace) -> None:
    lab = Lab(arguments.engine_python.absolute(), HOME)
    processors = PRETENDED if arguments.pretended else (NATIVE,)
    trials = dict(_trials(lab, processors, 16 if arguments.quick else 1))
    ratios = _of_pretended(trials) if arguments.pretended else _of_native(trials)
    figures = {**ratios, **_told(trials), **_demo(lab, processors[-1]), **_features()}
    for name, value in figures.items():
        sys.stdout.write(f"{name:64} {value}\n")
    if not arguments.quick:
        command = ["./taskw", "bench:devices", *(("--", *sys.argv[1:]) if sys.argv[1:] else ())]
        name = "devices_pretended" if arguments.pretended else "devices"
        sys.stdout.write(f"written to {report.write(name, command, figures)}\n")


def _trials(lab: Lab, processors: Sequence[Pretended], share: int) -> Iterator[tuple[str, Trial]]:
    """By `processor_model_point`."""
    for processor in processors:
        for model in REQUESTS:
            points = _points(processor, model, REQUESTS[model] // share)
            for point, trial in measured(lab, model, processor, points).items():
                yield f"{processor.name}_{SHORT[model]}_{point}", trial


def _points(processor: Pretended, model: str, requests: int) -> list[Point]:
    """Of a pretended processor only what its choice is about: the dtype."""
    if processor is NATIVE:
        return list(grid(requests, _chosen_dtype(), has_prompts=model == CHAT))
    few = max(8, requests // SLOW_SHARE)
    return [Point(CHOSEN, {}, 2 * few), Point("bfloat16", {"dtype": "bfloat16"}, few)]


def _chosen_dtype() -> str:
    return next(str(choice.value) for choice in processor_choices(read_processor()) if choice.name == DTYPE)


def _of_native(trials: dict[str, Trial]) -> dict[str, report.Figure]:
    """The worse of the two models."""
    rates = _rates(trials)
    heads = [f"{NATIVE.name}_{short}" for short in SHORT.values()]
    to_default = [_ratio(rates, f"{head}_{CHOSEN}", f"{head}_{DEFAULT}") for head in heads]
    best = {head: max(_of(rates, head), key=lambda name: rates[name]) for head in heads}
    to_best = [_ratio(rates, f"{head}_{CHOSEN}", best[head]) for head in heads]
    return {"chosen_vs_default": _least(to_default), "chosen_vs_best_of_grid": _least(to_best)}


def _of_pretended(trials: dict[str, Trial]) -> dict[str, report.Figure]:
    """What taking bfloat16 would have cost, where it is emulated."""
    rates = _rates(trials)
    heads = [f"{processor.name}_{short}" for processor in PRETENDED for short in SHORT.values()]
    return {f"{head}_chosen_vs_bfloat16": _ratio(rates, f"{head}_{CHOSEN}", f"{head}_bfloat16") for head in heads}


def _rates(trials: dict[str, Trial]) -> dict[str, float]:
    return {name: trial.requests_a_second for name, trial in trials.items() if not trial.fault}


def _of(rates: dict[str, float], head: str) -> list[str]:
    return [name for name in rates if name.startswith(f"{head}_")] or [f"{head}_{CHOSEN}"]


def _ratio(rates: dict[str, float], one: str, other: str) -> float | None:
    return round(rates[one] / rates[other], 3) if one in rates and other in rates else None


def _least(ratios: list[float | None]) -> float | None:
    return min((ratio for ratio in ratios if ratio is not None), default=None)


def _told(trials: dict[str, Trial]) -> dict[str, report.Figure]:
    """Of every trial its rate and how long the engine took to come up."""
    figures: dict[str, report.Figure] = {}
    for name, trial in trials.items():
        figures[f"{name}_requests_per_second"] = None if trial.fault else round(trial.requests_a_second, 2)
        figures[f"{name}_start_seconds"] = None if trial.fault else round(trial.start_seconds, 1)
    return figures


def _demo(lab: Lab, processor: Pretended) -> dict[str, report.Figure]:
    """On this processor, or on the oldest that it can be taken for."""
    ran = demo(lab.engine_python, lab.home / "models", processor)
    return {
        "doctor_seconds": round(doctor_seconds(), 2),
        "demo_seconds_warm": round(ran.seconds, 1),
        "first_answer_seconds": round(ran.first_answer_seconds, 1),
    }


def _features() -> dict[str, report.Figure]:
    return {"processor_features": " ".join(sorted(read_processor().features))}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./taskw bench:devices --", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few requests each, nothing written")
    parser.add_argument("--engine-python", type=Path, default=ENGINE_PYTHON, help="the Python that has vLLM")
    parser.add_argument("--pretended", action="store_true", help="older processors in place of this one")
    return parser.parse_args()


if __name__ == "__main__":
    main(_arguments())
