"""How far one scheduler, one stream and one results process reach, in fleets of 1 to 512 devices.

./taskw bench:scaling [-- --outcomes 200000] writes benchmarks/results/scaling.json; docs/scaling.md explains it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from benchmarks import report
from benchmarks.report import Figure
from benchmarks.scaling_study.decisions import Costs, costs
from benchmarks.scaling_study.fleets import fleet
from benchmarks.scaling_study.load import FLEETS, Load
from benchmarks.scaling_study.log import LogCosts, log_costs
from vbatch.scheduler.core.decide import SLICE_REQUESTS_MAX

PENDING = {1: 100, 8: 200, 64: 500, 512: 1_000}
"""How many batches wait while a fleet of this many devices is full."""
PENDING_MANY = (64, 2_000)
"""A fleet with a long queue, to measure the cost of batches without that of more devices."""
SIMULATED = {1: 60, 8: 120, 64: 200, 512: 600}
"""How many batches arrive at a simulated fleet of this many devices."""
OUTCOMES = 200_000


def main(outcomes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = asyncio.run(log_costs(Path(folder), outcomes))
    measured: dict[str, Figure] = {
        "load_average": round(os.getloadavg()[0], 1),
        "append_one_by_one_ms": round(log.append_ms, 2),
        "stream_events_per_second": round(log.events_a_second),
        "stream_megabytes_per_second": round(log.megabytes_a_second, 1),
        "results_outcomes_per_second": round(log.results_outcomes_a_second),
        "results_events_per_second": round(log.results_events_a_second),
    }
    for devices, requests in FLEETS:
        load = Load(devices, requests)
        measured |= _of_fleet(load, costs(devices, PENDING[devices], load.requests_a_chunk), log)
        measured |= _simulated(devices)
    devices, pending = PENDING_MANY
    measured[f"dispatch_ms_{devices}_devices_{pending}_batches"] = round(costs(devices, pending, 64).dispatch_ms, 2)
    path = report.write("scaling", ["./taskw", "bench:scaling", "--", "--outcomes", str(outcomes)], measured)
    for name, figure in measured.items():
        sys.stdout.write(f"{name:<52} {figure}\n")
    sys.stdout.write(f"written to {path}\n")


def _of_fleet(load: Load, cost: Costs, log: LogCosts) -> dict[str, Figure]:
    """Costs at this size, and the share of what each single part can do that the fleet needs."""
    a_slice_ms = cost.dispatch_ms + log.append_ms
    needed_ms = load.slices_a_second * a_slice_ms + load.chunks_a_second * cost.chunk_ms
    of = f"{load.devices}_devices"
    return {
        f"requests_per_day_{of}": load.requests_a_day,
        f"events_per_second_{of}": round(load.events_a_second, 2),
        f"requests_per_chunk_{of}": load.requests_a_chunk,
        f"dispatch_ms_{of}": round(cost.dispatch_ms, 2),
        f"nothing_to_do_ms_{of}": round(cost.idle_ms, 2),
        f"fold_chunk_ms_{of}": round(cost.chunk_ms, 3),
        f"dispatches_per_second_{of}": round(1000 / a_slice_ms, 1),
        f"dispatched_requests_per_second_{of}": round(SLICE_REQUESTS_MAX * 1000 / a_slice_ms),
        f"scheduler_share_{of}": round(needed_ms / 1000, 6),
        f"stream_share_{of}": round(load.events_a_second / log.events_a_second, 6),
        f"results_share_{of}": round(load.requests_a_second / log.results_outcomes_a_second, 6),
    }


def _simulated(devices: int) -> dict[str, Figure]:
    done, of = fleet(devices, SIMULATED[devices]), f"{devices}_devices"
    return {
        f"simulated_batches_{of}": SIMULATED[devices],
        f"simulated_pending_max_{of}": done.pending_max,
        f"simulated_decisions_per_second_{of}": round(done.decisions_a_second),
        f"simulated_folds_per_second_{of}": round(done.folds_a_second),
        f"simulated_mean_flow_minutes_{of}": round(done.mean_flow_minutes, 1),
        f"simulated_missed_share_{of}": round(done.missed_share, 4),
        f"simulated_loads_per_device_{of}": round(done.loads_a_device, 2),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outcomes", type=int, default=OUTCOMES, help="outcomes in the log that results replays")
    main(parser.parse_args().outcomes)
