"""A timeline as the API shows it."""

from __future__ import annotations

from pydantic import BaseModel


class SpanObject(BaseModel):
    """A period in the life of a batch. `lane` is `batch` or the id of a runner; `ends_at` is null while it lasts;
    `sequence` is the event it began with. Times are Unix seconds."""

    lane: str
    kind: str
    label: str
    starts_at: float
    ends_at: float | None
    sequence: int


class MarkObject(BaseModel):
    """An event at one moment, with a sentence."""

    at: float
    kind: str
    sentence: str
    sequence: int


class StateObject(BaseModel):
    """The state of the batch after an event. `changed` names the fields that this event changed."""

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
    """`steps` are sequences whose state can be requested with `at`; of a long log only some of them, always with the
    first and the last. `state` is the requested one, otherwise the newest."""

    object: str = "batch.timeline"
    starts_at: float
    ends_at: float
    is_over: bool
    spans: list[SpanObject]
    marks: list[MarkObject]
    steps: list[int]
    state: StateObject
