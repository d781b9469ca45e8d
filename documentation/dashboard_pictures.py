"""Draws docs/img/dashboard-*.png: what the panels of a dashboard ask, answered by a real Prometheus.

python -m documentation.dashboard_pictures FOLDER    needs the dependency group `bench`, Prometheus and its exporters

A real stack on simulated engines runs batches of three models while its runner is killed and its database is away. The
queries, titles and units are those of the dashboards; the drawing is not Grafana's.
"""

from __future__ import annotations

import math
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FixedLocator, Formatter, FuncFormatter, MaxNLocator, PercentFormatter
from openai import OpenAI

from deploy.monitoring.dashboards.engine import ENGINE
from deploy.monitoring.dashboards.model import GRID_COLUMNS, Dashboard, Kind, Needs, Panel, Query, Row, Source
from deploy.monitoring.dashboards.overview import OVERVIEW
from tests.e2e.asking import chat_line, embedding_line, jsonl, submit, wait_for_end, wait_for_progress
from tests.monitoring.prometheus import STEP_SECONDS, Prometheus
from tests.monitoring.scene import SEEN_SECONDS_MAX, Scene, lose_the_database, played
from tests.support.monitoring import substituted
from tests.support.stack import EMBEDDING, OTHER_CHAT, SLOW_CHAT, kill, wait_until

PICTURED = (OVERVIEW, ENGINE)
RATE_WINDOW = "10s"
"""Prometheus scrapes the scene every second, so a rate needs no longer window."""
INCHES_WIDE, INCHES_A_UNIT, DOTS_AN_INCH = 13.0, 0.32, 100
LEGEND_MAX = 6
UNNAMED = "value"
WHOLE_ABOVE, QUARTERS = 0.5, (0.0, 0.25, 0.5, 0.75, 1.0)
"""A share that gets so high is shown against the whole."""
GREEN, RED, GREY = "#2f8f5b", "#c0392b", "#777777"
ABSENT = (Needs.GPU, Needs.VLLM, Needs.LABELING)
UNITS: dict[str, Formatter] = {
    "s": EngFormatter("s", sep=""),
    "bytes": EngFormatter("B", sep=""),
    "reqps": FuncFormatter(lambda value, _: f"{value:g}/s"),
    "percentunit": PercentFormatter(1.0),
}


@dataclass(frozen=True)
class Series:
    """`values` has a number for each moment of the scene; NaN where the series has none."""

    label: str
    values: list[float]

    @property
    def newest(self) -> float:
        return next((value for value in reversed(self.values) if not math.isnan(value)), math.nan)


@dataclass(frozen=True)
class Window:
    """The seconds that a picture shows, and who answers its queries."""

    prometheus: Prometheus
    began: float
    seconds: list[float]

    def answers(self, panel: Panel) -> list[Series]:
        return [series for query in panel.queries if query.needs not in ABSENT for series in self._of(query)]

    def _of(self, query: Query) -> list[Series]:
        found = self.prometheus.series(substituted(query.expression.replace("$__rate_interval", RATE_WINDOW)))
        return [Series(legend(query, each["metric"]), self._spread(each["values"])) for each in found]

    def _spread(self, points: Sequence[tuple[float, str]]) -> list[float]:
        values = [math.nan] * len(self.seconds)
        for moment, value in points:
            place = round((moment - self.began) / STEP_SECONDS)
            if 0 <= place < len(values):
                values[place] = float(value)
        return values


def legend(query: Query, labels: dict[str, str]) -> str:
    """The legend without `instance`, because the scene has one of each."""
    named = {**labels, "instance": ""}
    return re.sub(r"\{\{(\w+)\}\}", lambda match: named.get(match[1], ""), query.legend).strip() or UNNAMED


def main(folder: Path) -> int:
    with tempfile.TemporaryDirectory() as scratch, played(Path(scratch), story) as scene:
        window = window_of(scene.prometheus)
        for dashboard in PICTURED:
            target = folder / f"dashboard-{dashboard.name}.png"
            draw(dashboard, window, target)
            sys.stdout.write(f"{target}\n")
    return 0


def window_of(prometheus: Prometheus) -> Window:
    """From the first scrape until now."""
    began = min(float(series["values"][0][0]) for series in prometheus.series("up"))
    count = int((time.time() - began) / STEP_SECONDS)
    return Window(prometheus, began, [float(STEP_SECONDS * place) for place in range(count)])


def story(scene: Scene, client: OpenAI) -> None:
    """Three batches, the first and longest disturbed by a kill; then ten seconds without the database."""
    wait_until(lambda: scene.prometheus.value("sum(up)") is not None, "Prometheus scrapes", SEEN_SECONDS_MAX)
    first = submit(client, jsonl(chat_line(number, SLOW_CHAT) for number in range(30_000)))
    second = submit(client, jsonl(chat_line(number, OTHER_CHAT) for number in range(15_000)))
    third = submit(client, jsonl(embedding_line(number, EMBEDDING) for number in range(5_000)), "/v1/embeddings")
    wait_for_progress(client, first.id, 10_000)
    kill(scene.stack.process("gpu-runner"))
    for batch in (first, second, third):
        wait_for_end(client, batch.id)
    lose_the_database(scene, seconds=10)
    time.sleep(10)  # the pictures show the end of the outage


def draw(dashboard: Dashboard, window: Window, target: Path) -> None:
    """Draw the panels that this scene has answers for, in the dashboard's order."""
    lines = [line for row in dashboard.rows for line in lines_of(row)]
    heights = [line[0].height for line in lines]
    height = INCHES_A_UNIT * sum(heights)
    figure = plt.figure(figsize=(INCHES_WIDE, height))
    edges = {"left": 0.07, "right": 0.985, "bottom": 0.3 / height, "top": 1 - 0.7 / height}
    grid = figure.add_gridspec(len(lines), 1, height_ratios=heights, hspace=0.4, **edges)
    for place, line in enumerate(lines):
        cells = grid[place].subgridspec(1, len(line), width_ratios=[panel.width for panel in line], wspace=0.22)
        for column, panel in enumerate(line):
            draw_panel(figure.add_subplot(cells[column]), panel, window)
    figure.suptitle(dashboard.title, x=0.01, y=1 - 0.15 / height, ha="left", va="top", fontsize=13, fontweight="bold")
    figure.savefig(target, dpi=DOTS_AN_INCH)
    plt.close(figure)


def lines_of(row: Row) -> list[list[Panel]]:
    """The panels of a row, line by line; without those that only Loki, Tempo, a GPU, vLLM or Label Studio answer."""
    lines: list[list[Panel]] = []
    for panel in row.panels:
        if panel.source is not Source.PROMETHEUS or all(query.needs in ABSENT for query in panel.queries):
            continue
        if not lines or sum(each.width for each in lines[-1]) + panel.width > GRID_COLUMNS:
            lines.append([])
        lines[-1].append(panel)
    return lines


def draw_panel(axis: Axes, panel: Panel, window: Window) -> None:
    axis.set_title(panel.title, loc="left", fontsize=8, fontweight="bold")
    axis.tick_params(labelsize=7, length=2, color=GREY)
    axis.spines[["top", "right"]].set_visible(False)
    found = window.answers(panel)
    match panel.kind:
        case Kind.TIMELINE:
            draw_timeline(axis, found, window.seconds)
        case Kind.NUMBER | Kind.TABLE:
            draw_numbers(axis, found)
        case _:
            draw_graph(axis, panel, found, window.seconds)


def draw_timeline(axis: Axes, found: list[Series], seconds: list[float]) -> None:
    """A bar for each series: green at 1, red below, nothing while it is absent."""
    for place, series in enumerate(found):
        there = [(at, value >= 1) for at, value in zip(seconds, series.values, strict=True) if not math.isnan(value)]
        for is_well, color in ((True, GREEN), (False, RED)):
            spans = [(at, STEP_SECONDS) for at, was_well in there if was_well is is_well]
            axis.broken_barh(spans, (place - 0.4, 0.8), color=color, linewidth=0)
    axis.set_xlim(0, seconds[-1])
    axis.set_yticks(range(len(found)), [series.label for series in found], fontsize=6 if len(found) > 8 else 7)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))


def draw_numbers(axis: Axes, found: list[Series]) -> None:
    """The newest values; of a table only those that are not 0."""
    axis.set_axis_off()
    told = [series for series in found if series.newest > 0 and series.label != UNNAMED] if len(found) > 1 else found
    for place, series in enumerate(told[:LEGEND_MAX]):
        axis.text(
            0.02, 0.85 - 0.15 * place, f"{series.newest:g}   {series.label}", fontsize=10, transform=axis.transAxes
        )


def draw_graph(axis: Axes, panel: Panel, found: list[Series], seconds: list[float]) -> None:
    if panel.kind is Kind.STACK:
        layers = [[0.0 if math.isnan(value) else value for value in series.values] for series in found]
        axis.stackplot(seconds, layers, labels=[series.label for series in found], alpha=0.75)
    else:
        for series in found:
            axis.plot(seconds, series.values, label=series.label, linewidth=1.2)
    axis.set_xlim(0, seconds[-1])
    highest = axis.dataLim.y1 if axis.dataLim.y1 > 0 else 1.0
    axis.set_ylim(min(0.0, axis.dataLim.y0), 1.45 * highest)  # room for the legend
    axis.grid(axis="y", linewidth=0.4, alpha=0.5)
    is_whole = panel.is_share and highest > WHOLE_ABOVE
    axis.yaxis.set_major_locator(FixedLocator(QUARTERS) if is_whole else MaxNLocator(5))
    axis.yaxis.set_major_formatter(copy(UNITS.get(panel.unit, EngFormatter("", sep=""))))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))
    handles, labels = axis.get_legend_handles_labels()
    if labels != [UNNAMED]:
        axis.legend(handles[:LEGEND_MAX], labels[:LEGEND_MAX], fontsize=6.5, frameon=False, loc="upper left")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
