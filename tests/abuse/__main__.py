"""`python -m tests.abuse --minutes 10 --seed 1`: any text, everywhere; the report is benchmarks/results/abuse.json."""

from __future__ import annotations

import argparse
import sys

import psutil

from benchmarks import report as benchmark
from tests.abuse.campaign import abuse

BYSTANDER_SECONDS_MAX = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.abuse", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long texts are thrown")
    parser.add_argument("--seed", type=int, default=1, help="of what is thrown")
    asked = parser.parse_args()
    found = abuse(asked.seed, 60.0 * asked.minutes)
    figures: dict[str, benchmark.Figure] = {
        "seed": asked.seed,
        "minutes": asked.minutes,
        "load_average": round(psutil.getloadavg()[2], 1),
        "inputs": found.inputs,
        "asks": found.asks,
        "batches": found.batches,
        "service_exits": found.service_exits,
        "batches_unended": found.batches_unended,
        "bystander_batches": found.bystander_batches,
        "bystander_seconds_max": found.bystander_seconds_max,
        "bystander_lines_missing": found.bystander_lines_missing,
        "server_faults": found.server_faults.total(),
    }
    figures |= {f"answers_with_status_{status}": count for status, count in sorted(found.statuses.items())}
    figures |= {f"batches_{ending}": count for ending, count in sorted(found.endings.items())}
    command = ["python", "-m", "tests.abuse", f"--minutes {asked.minutes:g}", f"--seed {asked.seed}"]
    target = benchmark.write("abuse", command, figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<32} {figure}\n")
    for what, count in found.server_faults.items():
        sys.stdout.write(f"a 500 to {what}: {count}\n")
    sys.stdout.write(f"written to {target}\n")
    is_well = not (found.service_exits or found.batches_unended or found.server_faults or found.bystander_lines_missing)
    return 0 if is_well and found.bystander_seconds_max <= BYSTANDER_SECONDS_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
