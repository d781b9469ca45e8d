"""The states of a batch as a picture and as Mermaid text, drawn from the transition table of the contracts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from documentation.drawing import arrow, box, svg, text
from vbatch.contracts import events as e
from vbatch.contracts.catalogue import KINDS
from vbatch.contracts.lifecycle import TERMINAL, TRANSITIONS, BatchStatus

WIDTH, HEIGHT = 960, 380
BOX_WIDTH, BOX_HEIGHT = 124, 40


@dataclass(frozen=True, slots=True)
class Arc:
    """One move: from a state, by an event named as in the catalogue, to a state."""

    source: BatchStatus
    event: str
    target: BatchStatus


PLACES: Mapping[BatchStatus, tuple[int, int]] = {
    BatchStatus.VALIDATING: (120, 190),
    BatchStatus.IN_PROGRESS: (390, 190),
    BatchStatus.FINALIZING: (640, 190),
    BatchStatus.COMPLETED: (860, 120),
    BatchStatus.EXPIRED: (860, 260),
    BatchStatus.FAILED: (120, 330),
    BatchStatus.CANCELLING: (390, 330),
    BatchStatus.CANCELLED: (640, 330),
}
"""The centre of each state's box, in pixels."""
DETOURS: Mapping[tuple[BatchStatus, BatchStatus], tuple[tuple[int, int], ...]] = {
    (BatchStatus.VALIDATING, BatchStatus.FINALIZING): ((120, 170), (120, 70), (640, 70), (640, 170)),
}
"""Arcs that a straight line would draw through another state's box, as the points of a way around it."""


def arcs() -> list[Arc]:
    """Every move of the transition table."""
    names: Mapping[type[e.Event], str] = {kind.type: kind.name for kind in KINDS}
    return [Arc(source, names[event], target) for (source, event), target in TRANSITIONS.items()]


def state_mermaid() -> str:
    starts = f"    [*] --> {BatchStatus.VALIDATING} : batch.created"
    moves = [f"    {arc.source} --> {arc.target} : {arc.event}" for arc in arcs()]
    ends = [f"    {status} --> [*]" for status in BatchStatus if status in TERMINAL]
    return "\n".join(["stateDiagram-v2", "    direction LR", starts, *moves, *ends]) + "\n"


def state_svg() -> str:
    """Raises KeyError for a state without a place."""
    lines = [part for arc in arcs() for part in _arc(arc)]
    boxes = [_box(status) for status in BatchStatus]
    return svg(WIDTH, HEIGHT, "The states of a batch and the events that change them", [*_legend(), *lines, *boxes])


def _box(status: BatchStatus) -> str:
    fill, stroke = ("#e7f5ee", "#2f8f62") if status in TERMINAL else ("#e8effd", "#3b6fd4")
    return box(*PLACES[status], BOX_WIDTH, BOX_HEIGHT, status, fill=fill, stroke=stroke)


def _arc(arc: Arc) -> tuple[str, str]:
    detour = DETOURS.get((arc.source, arc.target))
    points = detour or _edges(PLACES[arc.source], PLACES[arc.target])
    middle = len(points) // 2
    (x1, y1), (x2, y2) = points[middle - 1], points[middle]
    words = arc.event.removeprefix("batch.")
    if x1 == x2:
        return arrow(points), text(x1 + 8, (y1 + y2) // 2, words, anchor="start")
    return arrow(points), text((x1 + x2) // 2, (y1 + y2) // 2 - 7, words)


def _edges(source: tuple[int, int], target: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """The straight line between two boxes, from border to border."""
    (x1, y1), (x2, y2) = source, target
    if x1 == x2:
        return (x1, y1 + BOX_HEIGHT // 2), (x2, y2 - BOX_HEIGHT // 2)
    if y1 == y2 or target in (PLACES[BatchStatus.COMPLETED], PLACES[BatchStatus.EXPIRED]):
        return (x1 + BOX_WIDTH // 2, y1), (x2 - BOX_WIDTH // 2, y2)
    return (x1 + BOX_WIDTH // 2, y1 + BOX_HEIGHT // 2 - 4), (x2 - BOX_WIDTH // 2, y2 - BOX_HEIGHT // 2 + 4)


def _legend() -> list[str]:
    words = "A batch begins in validating. Green states are final. Labels are the events batch.*."
    return [text(24, 30, words, anchor="start")]
