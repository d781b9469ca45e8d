"""`python -m tests.lifetime`: a log that lives for years, in an hour. The report is JSON."""

from __future__ import annotations

import argparse
import sys

import msgspec

from tests.lifetime.living import Plan, live


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.lifetime", description=__doc__)
    parser.add_argument("--batches", type=int, default=Plan.batches, help="one after the other")
    parser.add_argument("--requests", type=int, default=Plan.requests, help="of each batch")
    parser.add_argument("--log-mib", type=int, default=Plan.log_mib, help="the limit of the log")
    asked = parser.parse_args()
    report = live(Plan(asked.batches, asked.requests, asked.log_mib))
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(report)).decode() + "\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
