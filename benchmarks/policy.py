"""The policy study: `./taskw bench:policy` simulates six workloads under every rule, and two workloads based on public
traces; it times decisions, compares small cases with their exact optima, and writes benchmarks/results/policy.json;
`--plots` draws docs/img/policy-*.png."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import report
from benchmarks.policy_study.decision_time import decision_ms
from benchmarks.policy_study.figures import calm_backlog, figures, table
from benchmarks.policy_study.foretelling import forecasts
from benchmarks.policy_study.reach import tiny_batches
from benchmarks.policy_study.small_cases import SMALL_CASES, against_optimum
from benchmarks.policy_study.study import Study, study

FORECAST_SEEDS_MAX = 10
IMAGES = Path(__file__).parent.parent / "docs" / "img"


def main() -> None:
    arguments = _arguments()
    done = study(arguments.seeds)
    measured = {
        **figures(done),
        **against_optimum(SMALL_CASES),
        **calm_backlog(arguments.seeds),
        **tiny_batches(arguments.seeds),
        **forecasts(min(arguments.seeds, FORECAST_SEEDS_MAX)),
        "decision_ms_1000": decision_ms(1_000),
        "decision_ms_10000": decision_ms(10_000),
        "seeds": arguments.seeds,
    }
    path = report.write("policy", ["./taskw", "bench:policy", "--", "--seeds", str(arguments.seeds)], measured)
    print(table(done))  # noqa: T201  # the purpose of the task
    for name, value in measured.items():
        print(f"{name:44} {value}")  # noqa: T201
    print(path)  # noqa: T201
    if arguments.plots:
        _draw(done)


def _draw(done: Study) -> None:
    from benchmarks.policy_study import plots  # matplotlib is needed only here

    plots.draw(done, IMAGES)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8, help="workloads drawn per scenario")
    parser.add_argument(
        "--plots", action="store_true", help="also draw the pictures (needs the dependency group bench)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
