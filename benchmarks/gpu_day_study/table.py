"""The table of docs/performance.md, from the figures of a day with a GPU."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Figure
from documentation import markdown

MARK = "gpu day"


@dataclass(frozen=True)
class Row:
    """One line of the table. `unit` follows the value; `name` is its key among the figures."""

    text: str
    name: str
    unit: str = ""


ROWS = (
    Row("memory of one model, calculated", "fit_calculated_gib", "GiB"),
    Row("memory of one model, measured", "fit_measured_gib", "GiB"),
    Row("cold start until the engine answers", "fit_start_seconds", "s"),
    Row("requests of the tuning workload", "fit_requests_per_second", "requests/s"),
    Row("the highest power meanwhile", "fit_watts_max", "W"),
    Row("the highest utilization meanwhile", "fit_utilization_max"),
    Row("swap to a model that is loaded cold", "sleep_cold_seconds", "s"),
    Row("swap to a model that sleeps, median", "sleep_wake_seconds_median", "s"),
    Row("swaps that woke a sleeper, and those that had to start it", "sleep_wakes"),
    Row("what a sleeper leaves on the device", "sleep_residue_gib", "GiB"),
    Row("steps of the memory ladder until a model with too little memory answers", "ladder_rungs"),
    Row("seconds for it, all starts included", "ladder_seconds", "s"),
    Row("chats through this server", "engine_ours_requests_per_second", "requests/s"),
    Row("… to the client loop by hand", "engine_ours_vs_by_hand"),
    Row("… to `vllm bench throughput`", "engine_ours_vs_bench_throughput"),
)


def filled(page: str, result: Path) -> str:
    """Return the page with the table of this result file. Raises ValueError if the page has no place for it, or the
    file is not one of this benchmark's."""
    found = json.loads(result.read_text())
    if found.get("name") != "gpu_day":
        raise ValueError(f"{result} was not written by the day with a GPU")
    return markdown.replaced(page, MARK, table(found["figures"], str(found["measured_at"])))


def table(figures: Mapping[str, Figure], measured_at: str) -> str:
    """Markdown with a line for each figure; what was not measured says so."""
    device = f"{figures.get('gpu_name', 'an unknown GPU')}, driver {figures.get('gpu_driver', 'unknown')}"
    rows = [(row.text, _value(figures.get(row.name), row.unit)) for row in ROWS]
    return markdown.table((f"{device}, {measured_at[:10]}", "measured"), rows)


def _value(figure: Figure, unit: str) -> str:
    return "not measured" if figure is None else f"{figure} {unit}".strip()
