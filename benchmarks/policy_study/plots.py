"""The study's pictures, small PNG files for docs/scheduling.md."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.policy_study.rules import EARLIEST_DEADLINE, GROUP, OLDEST_FIRST, OURS, RULES, SHORTEST_FREE
from benchmarks.policy_study.simulator import Run
from benchmarks.policy_study.study import SWAP_SECONDS, Study, run
from benchmarks.policy_study.workload import REQUESTS_A_SECOND, SCENARIOS, backlog

SHOWN = {
    OLDEST_FIRST: "#b0413e",
    GROUP: "#d99a4e",
    EARLIEST_DEADLINE: "#7d8ca3",
    OURS: "#2f6f4f",
    SHORTEST_FREE: "#c9d3cc",
}
MODEL_COLOURS = dict(
    zip(REQUESTS_A_SECOND, ("#35618f", "#5fa3c7", "#2f6f4f", "#93bd6e", "#d99a4e", "#b0413e"), strict=True)
)
DOTS_AN_INCH = 110


def draw(done: Study, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _bars(done, "mean_flow", folder / "policy-flow.png", "mean time from upload to last answer (minutes, log)")
    _bars(done, "missed", folder / "policy-missed.png", "batches that missed their deadline (share)")
    _timeline(folder / "policy-timeline.png")


def _bars(done: Study, what: str, path: Path, label: str) -> None:
    figure, axes = plt.subplots(1, len(SWAP_SECONDS), figsize=(10, 3.2), sharey=True)
    for swap, axis in zip(SWAP_SECONDS, axes, strict=True):
        _group(axis, done, what, swap)
    axes[0].set_ylabel(label, fontsize=7)
    if what == "mean_flow":
        axes[0].set_yscale("log")
    axes[-1].legend(fontsize=6, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _save(path)
    plt.close(figure)


def _group(axis: Axes, done: Study, what: str, swap: float) -> None:
    width = 0.8 / len(SHOWN)
    for rank, (rule, colour) in enumerate(SHOWN.items()):
        heights = [getattr(done[scenario, swap, rule], what) for scenario in SCENARIOS]
        axis.bar([place + rank * width for place in range(len(SCENARIOS))], heights, width, color=colour, label=rule)
    axis.set_xticks(
        [place + 0.3 for place in range(len(SCENARIOS))], [scenario[0] for scenario in SCENARIOS], fontsize=8
    )
    axis.set_title(f"a swap costs {swap:g} s", fontsize=8)
    axis.tick_params(labelsize=7)


def _timeline(path: Path) -> None:
    """The same backlog under two rules: what is on the device when, and how many batches have ended."""
    figure, axes = plt.subplots(3, 1, figsize=(9, 4.2), sharex=True, height_ratios=(1, 1, 2.5))
    runs = {name: run(RULES[name], backlog(3), SWAP_SECONDS[0]) for name in (OLDEST_FIRST, OURS)}
    for axis, (name, ran) in zip(axes, runs.items(), strict=False):
        _strip(axis, ran, name)
    for name, ran in runs.items():
        ends = [one.ended / 3600 for one in ran.ended]
        axes[2].step(ends, range(1, len(ends) + 1), where="post", color=SHOWN[name], label=name)
    axes[2].set_xlabel("hours", fontsize=8)
    axes[2].set_ylabel("batches ended", fontsize=8)
    axes[2].legend(fontsize=7, frameon=False)
    _save(path)
    plt.close(figure)


def _strip(axis: Axes, run: Run, name: str) -> None:
    for stay in run.stays:
        bar = (stay.start / 3600, (stay.end - stay.start) / 3600)
        axis.broken_barh([bar], (0, 1), facecolors=MODEL_COLOURS[stay.batch.model])
    axis.set_yticks([])
    axis.set_title(f"{name}: {run.swaps} swaps, a colour a model", fontsize=8, loc="left")


def _save(path: Path) -> None:
    plt.tight_layout()
    plt.savefig(path, dpi=DOTS_AN_INCH)
