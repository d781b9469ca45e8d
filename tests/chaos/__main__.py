"""`python -m tests.chaos --seed 7 --kills 200`: strike a real stack at random, then show that nothing was lost."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from tests.chaos.running import chaos


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="draws the batches and the faults")
    parser.add_argument("--kills", type=int, default=50, help="faults to do")
    parser.add_argument("--report", type=Path, help="write the report here as well")
    parser.add_argument("--vllm", action="store_true", help="on real vLLM, with the models the project ships with")
    parser.add_argument("--keep", type=Path, help="copy the logs of the processes here at the end")
    options = parser.parse_args()
    command = shlex.join(["python", "-m", "tests.chaos", *sys.argv[1:]])
    report = chaos(options.seed, options.kills, command=command, is_simulated=not options.vllm, keep=options.keep)
    text = json.dumps(report.as_dict(), indent=2) + "\n"
    sys.stdout.write(text)
    if options.report:
        options.report.write_text(text)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
