"""One batch from upload to answers, as a picture and as Mermaid text from the same list of messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from documentation.drawing import arrow, box, line, svg, text

PARTIES: Mapping[str, str] = {
    "client": "client",
    "gateway": "gateway",
    "log": "event log",
    "scheduler": "scheduler",
    "runner": "gpu-runner",
    "engine": "engine",
    "results": "results",
}
COLUMN, ROW, TOP = 150, 38, 60
BOX_WIDTH = 124


@dataclass(frozen=True, slots=True)
class Step:
    """A message from one party to another; an answer is drawn with dashes."""

    source: str
    target: str
    words: str
    is_answer: bool = False


STEPS: Sequence[Step] = (
    Step("client", "gateway", "POST /v1/files"),
    Step("gateway", "log", "file.stored"),
    Step("client", "gateway", "POST /v1/batches"),
    Step("gateway", "log", "batch.created"),
    Step("gateway", "client", "status: validating", is_answer=True),
    Step("log", "scheduler", "batch.created"),
    Step("scheduler", "log", "batch.validated"),
    Step("scheduler", "log", "batch.dispatched"),
    Step("scheduler", "runner", "work order"),
    Step("runner", "engine", "requests of the slice"),
    Step("engine", "runner", "responses", is_answer=True),
    Step("runner", "log", "batch.chunk_completed"),
    Step("log", "gateway", "live events"),
    Step("gateway", "client", "server-sent events", is_answer=True),
    Step("log", "results", "rows and growing JSONL"),
    Step("scheduler", "log", "batch.finalizing"),
    Step("log", "results", "sort and seal the files"),
    Step("results", "log", "file.stored, batch.completed"),
    Step("client", "gateway", "GET /v1/files/…/content"),
    Step("gateway", "client", "answers in input order", is_answer=True),
)


def sequence_mermaid() -> str:
    parties = [f"    participant {name} as {words}" for name, words in PARTIES.items()]
    steps = [f"    {step.source}{'-->>' if step.is_answer else '->>'}{step.target}: {step.words}" for step in STEPS]
    return "\n".join(["sequenceDiagram", *parties, *steps]) + "\n"


def sequence_svg() -> str:
    width, height = COLUMN * len(PARTIES), TOP + ROW * (len(STEPS) + 1) + 10
    lives = [line(_x(name), TOP, _x(name), height - 20) for name in PARTIES]
    heads = [
        box(_x(name), 36, BOX_WIDTH, 36, words, fill="#e8effd", stroke="#3b6fd4") for name, words in PARTIES.items()
    ]
    steps = [part for row, step in enumerate(STEPS, start=1) for part in _step(step, TOP + ROW * row)]
    return svg(width, height, "One batch from upload to answers", [*lives, *heads, *steps])


def _step(step: Step, y: int) -> tuple[str, str]:
    start, end = _x(step.source), _x(step.target)
    return arrow(((start, y), (end, y)), dashed=step.is_answer), text((start + end) // 2, y - 6, step.words)


def _x(name: str) -> int:
    return COLUMN * list(PARTIES).index(name) + COLUMN // 2
