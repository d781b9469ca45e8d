"""The study's picture: requests per second of every peer on every file."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.engine_study import laps
from benchmarks.engine_study.figures import names, rate
from benchmarks.engine_study.study import Study

COLOURS = {
    laps.RUN_BATCH: ("vllm run-batch, its defaults", "#b0413e"),
    laps.RUN_BATCH_TUNED: ("vllm run-batch, tuned", "#d99a4e"),
    laps.BY_HAND: ("client loop over vllm serve, tuned and ordered by hand", "#7d8ca3"),
    laps.OURS: ("this server", "#2f6f4f"),
    laps.BENCH: ("vllm bench throughput (the ceiling)", "#c9d3cc"),
}
DOTS_AN_INCH = 110


def draw(done: Study, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files = names(done)
    figure, axis = plt.subplots(figsize=(9, 3.4))
    width = 0.8 / len(COLOURS)
    for rank, (peer, (label, colour)) in enumerate(COLOURS.items()):
        heights = [rate(done, file, peer) or 0.0 for file in files]
        bars = axis.bar([at + rank * width for at in range(len(files))], heights, width, color=colour, label=label)
        axis.bar_label(bars, [f"{height:.1f}" if height else "" for height in heights], fontsize=6)
    axis.set_xticks([at + 0.3 for at in range(len(files))], [file.replace("_", " ") for file in files], fontsize=8)
    axis.set_ylabel("requests a second", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.legend(fontsize=7, frameon=False)
    plt.tight_layout()
    plt.savefig(folder / "engine-rates.png", dpi=DOTS_AN_INCH)
    plt.close(figure)
