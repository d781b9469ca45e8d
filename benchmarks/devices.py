"""What the device's choices are worth: `./taskw bench:devices` runs the demo and `vbatch doctor`, then real vLLM with
the device's choices beside vLLM's own defaults and beside each point of the grid of `vbatch tune`. Two engines are
loaded at a time and answer in turn, so that only rates of the same minute are compared. It writes
benchmarks/results/devices.json after each comparison, because all of it takes long on a busy machine.

`-- --pretended` adds this processor without some of its instruction sets: the kernels that an older one would run
(vLLM's, oneDNN's, MKL's and ATen's), on this one's clock, caches and memory, so only ratios within one processor are
meaningful. `-- --quick` only shows that it works.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks import report
from benchmarks.devices_study.demo import demo, doctor_seconds
from benchmarks.devices_study.grid import DEFAULT, ITSELF, Lab, compared, definition_of, prepared
from benchmarks.devices_study.pairs import PAIRS_MAX, Comparison, best_ratio
from benchmarks.devices_study.processors import AVX2, AVX512, NATIVE, Pretended
from tests.support.paths import ROOT
from vbatch.gpu_runner.adapters.machine import read_processor

CHAT, EMBEDDING = "HuggingFaceTB/SmolLM2-135M-Instruct", "sentence-transformers/all-MiniLM-L6-v2"
SHORT = {CHAT: "chat", EMBEDDING: "embedding"}
REQUESTS = {CHAT: 160, EMBEDDING: 800}
PRETENDED_WORK = ((AVX2, CHAT), (AVX512, CHAT))
NATIVE_WORK = ((NATIVE, CHAT), (NATIVE, EMBEDDING))
QUICK_SHARE = 16
BESIDE_THE_GRID = (DEFAULT, ITSELF)
ENGINE_PYTHON = ROOT / ".engine" / "bin" / "python"
HOME = ROOT / "var" / "bench-devices"
FAULT_CHARS_MAX = 200

Study = dict[str, list[Comparison]]
"""The comparisons by processor and model."""


def main(arguments: argparse.Namespace) -> None:
    lab = Lab(
        arguments.engine_python.absolute(), HOME, 1 if arguments.quick else arguments.pairs, tuple(arguments.points)
    )
    asyncio.run(prepared(lab, [definition_of(model) for model in REQUESTS]))
    figures: dict[str, report.Figure] = {**_features(), "doctor_seconds": round(doctor_seconds(), 2)}
    for processor in (NATIVE, AVX2) if arguments.pretended else (NATIVE,):
        figures |= _demo(lab, processor)
    study: Study = {}
    for processor, model in (*NATIVE_WORK, *PRETENDED_WORK) if arguments.pretended else NATIVE_WORK:
        comparisons = study[f"{processor.name}_{SHORT[model]}"] = list[Comparison]()
        described = partial(_add, comparisons, figures, study, is_kept=not arguments.quick)
        requests = REQUESTS[model] // (QUICK_SHARE if arguments.quick else 1)
        asyncio.run(compared(lab, definition_of(model), processor, requests, described))
    for name, value in figures.items():
        sys.stdout.write(f"{name:64} {value}\n")


def _add(
    comparisons: list[Comparison],
    figures: dict[str, report.Figure],
    study: Study,
    comparison: Comparison,
    *,
    is_kept: bool,
) -> None:
    comparisons.append(comparison)
    head = next(head for head, found in study.items() if found is comparisons)
    figures |= {**_told(f"{head}_{comparison.name}", comparison), **_results(study)}
    if is_kept:
        _write(figures)


def _write(figures: dict[str, report.Figure]) -> None:
    command = ["./taskw", "bench:devices", *(("--", *sys.argv[1:]) if sys.argv[1:] else ())]
    report.write("devices", command, figures)


def _results(study: Study) -> dict[str, report.Figure]:
    """The results on this processor, from the worse of the two models; and for a pretended one, what choosing bfloat16
    would have cost."""
    native = [study.get(f"{NATIVE.name}_{short}", []) for short in SHORT.values()]
    grids = [[found for found in comparisons if found.name not in BESIDE_THE_GRID] for comparisons in native]
    defaults = [_ratio(found) for comparisons in native for found in comparisons if found.name == DEFAULT]
    pretended = {f"{processor.name}_{SHORT[CHAT]}": processor for processor, _ in PRETENDED_WORK}
    return {
        "chosen_vs_default": _least(defaults),
        "chosen_vs_best_of_grid": _least(
            [best_ratio([found.ratio for found in grid if found.pairs]) for grid in grids]
        ),
        "chosen_vs_best_of_grid_by_cpu": _least([best_ratio(_cpu_ratios(grid)) for grid in grids]),
        "grid_points": ", ".join(f"{short} {len(grid)}" for short, grid in zip(SHORT.values(), grids, strict=True)),
        "noise": _largest([found.spread for comparisons in native for found in comparisons if found.pairs]),
        **{f"{head}_chosen_vs_bfloat16": _ratio(study[head][0]) for head in pretended if study.get(head)},
    }


def _cpu_ratios(grid: Sequence[Comparison]) -> list[float]:
    return [found.cpu_ratio for found in grid if found.cpu_ratio is not None]


def _ratio(comparison: Comparison) -> float | None:
    return comparison.ratio if comparison.pairs else None


def _least(ratios: Sequence[float | None]) -> float | None:
    """The least ratio; None if one of them, or every one, was not measured."""
    known = [round(ratio, 3) for ratio in ratios if ratio is not None]
    return min(known) if known and len(known) == len(ratios) else None


def _largest(spreads: Sequence[float]) -> float | None:
    return max((round(spread, 3) for spread in spreads), default=None)


def _told(name: str, comparison: Comparison) -> dict[str, report.Figure]:
    """The ratio with its spread over the pairs, the rate, how long the engine took to start, and how many processes
    wanted a core at its end."""
    if comparison.fault:
        return {f"{name}_fault": comparison.fault.partition("\n")[0][:FAULT_CHARS_MAX]}
    return {
        f"{name}_chosen_ratio": round(comparison.ratio, 3),
        f"{name}_cpu_ratio": None if comparison.cpu_ratio is None else round(comparison.cpu_ratio, 3),
        f"{name}_pairs": len(comparison.pairs),
        f"{name}_spread": round(comparison.spread, 3),
        f"{name}_requests_per_second": round(comparison.point_rate, 2),
        f"{name}_start_seconds": round(comparison.start_seconds, 1),
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
    parser.add_argument("--pairs", type=int, default=PAIRS_MAX, help="rounds of two engines in turn, at most")
    parser.add_argument(
        "--points", nargs="*", default=(), help="only these: itself, default, compiled, dtype_float32 …"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main(_arguments())
