"""Objects of the API for reading answers: how they divide, and the progress of a search."""

from __future__ import annotations

import msgspec


class Search(msgspec.Struct, frozen=True):
    hits: int
    searched_bytes: int
    total_bytes: int
    next: str | None

    @property
    def percent(self) -> int:
        return 100 * self.searched_bytes // self.total_bytes if self.total_bytes else 100


class FacetValue(msgspec.Struct, frozen=True):
    value: str | None
    count: int


class Facets(msgspec.Struct, frozen=True):
    models: tuple[FacetValue, ...]
    finish_reasons: tuple[FacetValue, ...]
    json_count: int
    text_count: int


class Span(msgspec.Struct, frozen=True):
    lane: str
    kind: str
    label: str
    starts_at: float
    ends_at: float | None
    sequence: int


class Mark(msgspec.Struct, frozen=True):
    at: float
    kind: str
    sentence: str
    sequence: int


class State(msgspec.Struct, frozen=True):
    """The state of a batch after one event."""

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
    changed: tuple[str, ...]


class Timeline(msgspec.Struct, frozen=True):
    starts_at: float
    ends_at: float
    is_over: bool
    spans: tuple[Span, ...]
    marks: tuple[Mark, ...]
    steps: tuple[int, ...]
    state: State


class Stay(msgspec.Struct, frozen=True):
    """A model on a device; Unix seconds."""

    model: str
    loads_at: int
    starts_at: int
    ends_at: int


class DevicePlan(msgspec.Struct, frozen=True):
    runner_id: str
    stays: tuple[Stay, ...]
    more: int


class Scopes(msgspec.Struct, frozen=True):
    """The part of `GET /v1/me` that says what a visitor may do."""

    scopes: tuple[str, ...] = ()


class UsageRow(msgspec.Struct, frozen=True):
    day: str
    owner: str
    model: str | None
    batches: int
    requests: int
    succeeded: int
    failed: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    answering_seconds: float


class UsageTotals(msgspec.Struct, frozen=True):
    batches: int
    requests: int
    succeeded: int
    failed: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    answering_seconds: float


class Usage(msgspec.Struct, frozen=True):
    first_day: str
    last_day: str
    data: tuple[UsageRow, ...]
    totals: UsageTotals
    has_more: bool


class FlawShare(msgspec.Struct, frozen=True):
    count: int
    share: float


class Quality(msgspec.Struct, frozen=True):
    """What is wrong with successful answers, as far as it shows without reading them."""

    answers: int
    empty: FlawShare
    cut: FlawShare
    not_json: FlawShare
    refused: FlawShare
    repeating: FlawShare


class Share(msgspec.Struct, frozen=True):
    """A share with its interval of 95 %; None if nothing was counted."""

    count: int
    of: int
    share: float | None
    low: float | None
    high: float | None


class ComparedBatch(msgspec.Struct, frozen=True):
    batch_id: str
    model: str | None
    answered: int
    succeeded: int
    failed: int
    cut: int
    json_count: int
    seconds_p50: float | None
    seconds_p95: float | None
    chars_p50: float | None
    chars_p95: float | None
    output_tokens: int
    agreement: Share | None


class Comparison(msgspec.Struct, frozen=True):
    data: tuple[ComparedBatch, ...]


class ComparedAnswer(msgspec.Struct, frozen=True):
    batch_id: str
    succeeded: bool
    status_code: int | None
    error_code: str | None
    finish_reason: str | None
    output_tokens: int
    seconds: float
    text: str | None
    agrees: bool


class ComparedLine(msgspec.Struct, frozen=True):
    line: int
    custom_id: str
    request: str | None
    answers: tuple[ComparedAnswer | None, ...]


class ComparedPage(msgspec.Struct, frozen=True):
    data: tuple[ComparedLine, ...]
    has_more: bool
    last_line: int | None
