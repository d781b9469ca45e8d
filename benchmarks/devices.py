"""What the device's choices are worth: `./taskw bench:devices` runs the demo and `vbatch doctor`, then real vLLM with
the device's choices, with vLLM's own defaults and with a small grid around them. It writes
benchmarks/results/devices.json after each of them, because all of it takes long on a busy machine.

`-- --pretended` adds this processor without some of its instruction sets: the kernels that an older one would run
(vLLM's, oneDNN's, MKL's and ATen's), on this one's clock, caches and memory, so only ratios within one processor are
meaningful. `-- --quick` only shows that it works.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.devices_study.demo import demo, doctor_seconds
from benchmarks.devices_study.grid import CHOSEN, DEFAULT, Lab, Point, definition_of, grid, measured, prepared
from benchmarks.devices_study.processors import AVX2, AVX512, NATIVE, Pretended
from tests.support.paths import ROOT
from vbatch.gpu_runner.adapters.machine import read_processor
from vbatch.gpu_runner.core.choices import DTYPE, processor_choices
from vbatch.gpu_runner.core.tuning import Trial

CHAT, EMBEDDING = "HuggingFaceTB/SmolLM2-135M-Instruct", "sentence-transformers/all-MiniLM-L6-v2"
SHORT = {CHAT: "chat", EMBEDDING: "embedding"}
REQUESTS = {CHAT: 160, EMBEDDING: 1_600}
WORK = ((NATIVE, CHAT), (AVX2, CHAT), (NATIVE, EMBEDDING), (AVX512, CHAT))
NATIVE_WORK = ((NATIVE, CHAT), (NATIVE, EMBEDDING))
SLOW_SHARE = 8
"""A pretended processor gets this many times less work, because it is that much slower."""
ENGINE_PYTHON = ROOT / ".engine" / "bin" / "python"
HOME = ROOT / "var" / "bench-devices"


def main(arguments: argparse.Namespace) -> None:
    lab = Lab(arguments.engine_python.absolute(), HOME)
    asyncio.run(prepared(lab, [definition_of(model) for model in REQUESTS]))
    figures: dict[str, report.Figure] = {**_features(), "doctor_seconds": round(doctor_seconds(), 2)}
    for processor in (NATIVE, AVX2) if arguments.pretended else (NATIVE,):
        figures |= _demo(lab, processor)
    trials: dict[str, Trial] = {}
    for name, trial in _trials(lab, WORK if arguments.pretended else NATIVE_WORK, 16 if arguments.quick else 1):
        trials[name] = trial
        figures |= {**_told(name, trial), **_of_native(trials), **_of_pretended(trials)}
        if not arguments.quick:
            _write(figures)
    for name, value in figures.items():
        sys.stdout.write(f"{name:64} {value}\n")


def _write(figures: dict[str, report.Figure]) -> None:
    command = ["./taskw", "bench:devices", *(("--", *sys.argv[1:]) if sys.argv[1:] else ())]
    report.write("devices", command, figures)


def _trials(lab: Lab, work: Sequence[tuple[Pretended, str]], share: int) -> Iterator[tuple[str, Trial]]:
    """The trials by `processor_model_point`."""
    for processor, model in work:
        for point, trial in measured(lab, model, processor, _points(processor, model, REQUESTS[model] // share)):
            yield f"{processor.name}_{SHORT[model]}_{point}", trial


def _points(processor: Pretended, model: str, requests: int) -> list[Point]:
    """The points to measure. For a pretended processor, only the dtype that it chooses matters, and only for the chat
    model."""
    if processor is NATIVE:
        return list(grid(requests, _chosen_dtype(), has_prompts=model == CHAT))
    few = max(8, requests // SLOW_SHARE)
    return [Point(CHOSEN, {}, 2 * few), Point("bfloat16", {"dtype": "bfloat16"}, few)]


def _chosen_dtype() -> str:
    return next(str(choice.value) for choice in processor_choices(read_processor()) if choice.name == DTYPE)


def _of_native(trials: dict[str, Trial]) -> dict[str, report.Figure]:
    """The results on this processor, from the worse of the two models."""
    rates = _rates(trials)
    heads = [f"{NATIVE.name}_{short}" for short in SHORT.values()]
    to_default = [_ratio(rates, f"{head}_{CHOSEN}", f"{head}_{DEFAULT}") for head in heads]
    best = {head: max(_of(rates, head), key=lambda name: rates[name]) for head in heads}
    to_best = [_ratio(rates, f"{head}_{CHOSEN}", best[head]) for head in heads]
    return {"chosen_vs_default": _least(to_default), "chosen_vs_best_of_grid": _least(to_best)}


def _of_pretended(trials: dict[str, Trial]) -> dict[str, report.Figure]:
    """What choosing bfloat16 would have cost on a processor that emulates it."""
    rates = _rates(trials)
    heads = [f"{processor.name}_{SHORT[CHAT]}" for processor in (AVX512, AVX2)]
    ratios = {f"{head}_chosen_vs_bfloat16": _ratio(rates, f"{head}_{CHOSEN}", f"{head}_bfloat16") for head in heads}
    return {name: ratio for name, ratio in ratios.items() if ratio is not None}


def _rates(trials: dict[str, Trial]) -> dict[str, float]:
    return {name: trial.requests_a_second for name, trial in trials.items() if not trial.fault}


def _of(rates: dict[str, float], head: str) -> list[str]:
    return [name for name in rates if name.startswith(f"{head}_")] or [f"{head}_{CHOSEN}"]


def _ratio(rates: dict[str, float], one: str, other: str) -> float | None:
    return round(rates[one] / rates[other], 3) if one in rates and other in rates else None


def _least(ratios: list[float | None]) -> float | None:
    return min((ratio for ratio in ratios if ratio is not None), default=None)


def _told(name: str, trial: Trial) -> dict[str, report.Figure]:
    """The trial's rate, how long the engine took to start, and how many processes wanted a core at its end."""
    return {
        f"{name}_requests_per_second": None if trial.fault else round(trial.requests_a_second, 2),
        f"{name}_start_seconds": None if trial.fault else round(trial.start_seconds, 1),
        f"{name}_load_average": round(os.getloadavg()[0], 1),
    }


def _demo(lab: Lab, processor: Pretended) -> dict[str, report.Figure]:
    ran = demo(lab.engine_python, lab.home / "models", processor)
    tail = "" if processor is NATIVE else f"_{processor.name}"
    return {
        f"demo_seconds_warm{tail}": round(ran.seconds, 1),
        f"first_answer_seconds{tail}": round(ran.first_answer_seconds, 1),
        f"demo_load_average{tail}": round(os.getloadavg()[0], 1),
    }


def _features() -> dict[str, report.Figure]:
    return {"processor_features": " ".join(sorted(read_processor().features))}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./taskw bench:devices --", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few requests each, nothing written")
    parser.add_argument("--engine-python", type=Path, default=ENGINE_PYTHON, help="the Python that has vLLM")
    parser.add_argument("--pretended", action="store_true", help="older processors, too")
    return parser.parse_args()


if __name__ == "__main__":
    main(_arguments())
