"""What a swap of models costs: simulated engines for many swaps in a row, real vLLM for the seconds.

python -m benchmarks.swap [--swaps 200] [--real-swaps 6]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks import report
from benchmarks.swap_study.cold import cold_starts
from benchmarks.swap_study.loss import Tally, swap_in_turn
from benchmarks.swap_study.models import REAL, SIMULATED, SIMULATED_MODELS, Pair
from tests.support.paths import ROOT
from tests.support.stack import running_stack

SWAPS, REAL_SWAPS = 200, 6
MEGABYTE = 1_000_000
ONE_BY_ONE = {"VBATCH_GPU_RUNNER_RESIDENTS_MAX": "1"}
"""Forces real swaps although both models fit into memory."""
ENGINE_PYTHON = ROOT / ".engine" / "bin" / "python"
PREPARE = ROOT / "deploy" / "engine" / "prepare_model.py"


def main(swaps: int, real_swaps: int) -> int:
    figures = {**simulated(swaps), **(real(real_swaps) if real_swaps else {})}
    command = ["python", "-m", "benchmarks.swap", f"--swaps {swaps}", f"--real-swaps {real_swaps}"]
    target = report.write("swap", command, figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<44} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0 if figures["lost"] == figures["leaked_processes"] == 0 else 1


def simulated(swaps: int) -> dict[str, report.Figure]:
    tally = swapped(swaps, SIMULATED_MODELS, {}, SIMULATED)
    return {
        "swaps": tally.swaps,
        "lost": tally.lost,
        "repeated": tally.repeated,
        "leaked_processes": tally.more("processes"),
        "leaked_descriptors": tally.more("descriptors"),
        "leaked_sockets": tally.more("sockets"),
        "runner_growth_mb": round(tally.more("resident_bytes") / MEGABYTE, 1),
    }


def real(swaps: int) -> dict[str, report.Figure]:
    """Measure a cold start of each model, then swaps between them, with the same arguments on the same machine."""
    with tempfile.TemporaryDirectory() as home:
        cold = cold_starts(ENGINE_PYTHON, PREPARE, Path(home), REAL)
    environment = {
        "VBATCH_GPU_RUNNER_ENGINE_PYTHON": str(ENGINE_PYTHON),
        "VBATCH_GPU_RUNNER_PREPARE_SCRIPT": str(PREPARE),
    }
    models = (ROOT / "models.toml").read_text()
    tally = swapped(swaps, models, environment | ONE_BY_ONE, REAL)
    beside = swapped(swaps, models, environment, REAL)
    warm = statistics.median(tally.first_answer_seconds)
    return {
        "real_swaps": tally.swaps,
        "real_lost": tally.lost,
        "beside_lost": beside.lost,
        "beside_seconds_median": round(statistics.median(beside.first_answer_seconds), 3),
        "real_leaked_processes": tally.more("processes"),
        "cold_start_seconds": round(statistics.mean(start.seconds for start in cold), 2),
        "cold_start_cpu_seconds": round(statistics.mean(start.cpu_seconds for start in cold), 2),
        "swap_seconds_median": round(warm, 2),
        "swap_seconds_max": round(max(tally.first_answer_seconds), 2),
        "swap_vs_cold_start": round(warm / statistics.mean(start.seconds for start in cold), 3),
    }


def swapped(swaps: int, models_toml: str, environment: Mapping[str, str], pair: Pair) -> Tally:
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models.toml"
        models.write_text(models_toml)
        with running_stack(models, environment) as stack:
            return swap_in_turn(stack, pair, swaps)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=SWAPS)
    parser.add_argument("--real-swaps", type=int, default=REAL_SWAPS, help="0: only the simulated engine")
    sys.exit(main(**vars(parser.parse_args())))
