"""`python -m tests.simulation`: run many seeds, or run one and describe what happened. The report is JSON."""

from __future__ import annotations

import argparse
import os
import sys

import msgspec

from tests.simulation.campaign import campaign, planted
from tests.simulation.mutations import MUTATIONS
from tests.simulation.run import run_seed


def main() -> int:
    asked = _arguments()
    if asked.seed is not None:
        return _one(asked.seed, asked.mutation, is_verbose=asked.verbose)
    seeds = range(asked.first, asked.first + asked.seeds)
    report = campaign(seeds, batches=asked.jobs, mutation=asked.mutation)
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(report.as_record())).decode() + "\n")
    for failure in report.failures:
        sys.stderr.write(f"seed {failure['seed']} failed: {failure['text']}\n")
        sys.stderr.write(f"replay it: ./taskw test:sim -- --seed {failure['seed']} --verbose\n")
    return 1 if report.failures else 0


def _one(seed: int, mutation: str | None, *, is_verbose: bool) -> int:
    with planted(mutation):
        result = run_seed(seed, is_verbose=is_verbose)
    for entry in result.diary:
        sys.stdout.write(f"{entry}\n")
    verdict = str(result.violation) if result.violation else "every check holds"
    sys.stdout.write(f"seed {seed}: {verdict}; {result.events} events, {result.steps} steps, log {result.digest}\n")
    return 1 if result.violation else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes to run them on")
    parser.add_argument("--seed", type=int, help="run this seed only")
    parser.add_argument("--verbose", action="store_true", help="with --seed: tell what happened, with its times")
    parser.add_argument("--mutation", choices=sorted(MUTATIONS), help="plant this bug first")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
