"""A timeline as the API shows it."""

from __future__ import annotations

from pydantic import BaseModel


class SpanObject(BaseModel):
    """Something that lasted. `lane` is `batch` or the id of a runner; `ends_at` is null while it lasts; `sequence` is
    the event it began with. Times are Unix seconds."""

    lane: str
    kind: str
    label: str
    starts_at: float
    ends_at: float | None
    sequence: int


class MarkObject(BaseModel):
    """Something that happened at one moment, with a sentence."""

    at: float
    kind: str
    sentence: str
    sequence: int


class StateObject(BaseModel):
    """How the batch stood after an event. `changed` names the fields that this event changed."""

    sequence: int
    at: float
    event: str
    sentence: str
    status: str
    is_paused: bool
    priority: int
    total: int
    completed: int
    failed: int
    output_tokens: int
    slices_out: int
    slices_returned: int
    changed: list[str]


class TimelineObject(BaseModel):
    """`steps` are sequences whose state can be asked for with `at`; of a long log a part of them, always the first and
    the last. `state` is the one asked for, else the newest."""

    object: str = "batch.timeline"
    starts_at: float
    ends_at: float
    is_over: bool
    spans: list[SpanObject]
    marks: list[MarkObject]
    steps: list[int]
    state: StateObject
