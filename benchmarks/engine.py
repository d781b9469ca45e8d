"""The engine study: `./taskw bench:engine` runs the same files through this server and through its alternatives, one
engine at a time and in turns, and writes benchmarks/results/engine.json; `--plots` draws it.

Rates are medians over the rounds. Run it on a quiet machine; `-- --quick` only shows that everything works.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.engine_study.figures import figures
from benchmarks.engine_study.study import ASKED_ABOUT, KINDS, PEERS, Choices, Study, study
from benchmarks.engine_study.workloads import Sizes

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "img"
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
QUICK = Sizes(shared=((16, 4, 4_096),), templates=(10, 4), plain=64, batches=2)


def main() -> None:
    arguments = _arguments()
    done = study(_choices(arguments))
    measured = figures(done)
    for name, value in measured.items():
        sys.stdout.write(f"{name:64} {value}\n")
    if arguments.quick:
        return
    command = ["./taskw", "bench:engine", "--", *sys.argv[1:]]
    sys.stdout.write(f"written to {report.write(_name(arguments), command, measured)}\n")
    if arguments.plots:
        _draw(done)


def _name(arguments: argparse.Namespace) -> str:
    """The name of the result file; a part of the study has its own file."""
    return "_".join(["engine", *(arguments.only or ()), *(arguments.peers or ())])


def _draw(done: Study) -> None:
    from benchmarks.engine_study.plots import draw  # matplotlib is needed only here

    draw(done, IMAGES)


def _choices(arguments: argparse.Namespace) -> Choices:
    return Choices(
        model=arguments.model,
        models_file=arguments.models_file,
        engine_python=arguments.engine_python,
        prepared_folder=ROOT / "var" / "models",
        rounds=1 if arguments.quick else arguments.rounds,
        hand_window=arguments.hand_window,
        sizes=QUICK if arguments.quick else Sizes(plain=arguments.plain_requests),
        only=tuple(arguments.only or KINDS),
        peers=tuple(arguments.peers or PEERS),
        is_thorough=arguments.thorough,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./taskw bench:engine --", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small files, one round, nothing written")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", action="append", choices=KINDS, help="only these files")
    parser.add_argument("--peers", action="append", choices=tuple(ASKED_ABOUT), help="only these peers")
    parser.add_argument("--thorough", action="store_true", help="all who can run a file run it in every round: hours")
    parser.add_argument("--plain-requests", type=int, default=Sizes().plain, help="more for a faster device")
    parser.add_argument("--hand-window", type=int, default=160, help="requests the client loop keeps in flight")
    parser.add_argument("--model", default=MODEL, help="an id of the models file")
    parser.add_argument("--models-file", type=Path, default=ROOT / "models.toml")
    parser.add_argument("--engine-python", type=Path, default=ROOT / ".engine" / "bin" / "python")
    parser.add_argument("--plots", action="store_true", help="also draw the picture (needs the dependency group bench)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
