"""What a fleet of servers elsewhere gives: rates, the concurrency found, prefixes kept, replicas lost, the own limit.

python -m benchmarks.fleet [--only scaling window_100 prefixes losses own_pipeline]

A part that was not asked for keeps its figures in `benchmarks/results/fleet.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks import report
from benchmarks.fleet_study.losses import losses, own_pipeline
from benchmarks.fleet_study.runs import Part
from benchmarks.fleet_study.shares import prefixes, scaling
from benchmarks.fleet_study.windows import CASES, RATIO, window

Measured = report.Figure | report.Figures
NAME = "fleet"
PARTS: Mapping[str, Callable[[Path], Part]] = {
    "scaling": scaling,
    **{f"window_{case.name}": partial(window, case) for case in CASES},
    "prefixes": prefixes,
    "losses": losses,
    "own_pipeline": own_pipeline,
}
TOTALS = ("requests", "lost", "duplicated")


def main(parts: Sequence[str]) -> int:
    """Results are written after each part, because all of them together take a quarter of an hour."""
    for part in parts:
        measured = _measured(part)
        figures = _earlier() | measured
        figures |= {total: _sum(figures, total) for total in TOTALS} | _worst(figures, RATIO)
        target = report.write(NAME, ["./taskw", "bench:fleet"], figures)
    for name, figure in sorted(_earlier().items()):
        sys.stdout.write(f"{name:<48} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


def _measured(part: str) -> dict[str, Measured]:
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        done = PARTS[part](Path(folder))
    return {
        **done.figures,
        f"{part}_measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        f"{part}_load_average_before": round(load, 1),
        f"{part}_requests": sum(each.requests for each in done.runs),
        f"{part}_lost": sum(each.lost for each in done.runs),
        f"{part}_duplicated": sum(each.duplicated for each in done.runs),
    }


def _earlier() -> dict[str, Measured]:
    path = report.RESULTS / f"{NAME}.json"
    return dict(json.loads(path.read_text())["figures"]) if path.is_file() else {}


def _worst(figures: Mapping[str, Measured], key: str) -> dict[str, Measured]:
    """The lowest of the figures whose keys begin with this key, if there is one."""
    found = [figure for name, figure in figures.items() if name.startswith(f"{key}_") and isinstance(figure, float)]
    return {key: min(found)} if found else {}


def _sum(figures: Mapping[str, Measured], total: str) -> int:
    found = (figures.get(f"{part}_{total}") for part in PARTS)
    return sum(figure for figure in found if isinstance(figure, int))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[*PARTS], default=[*PARTS])
    sys.exit(main(parser.parse_args().only))
