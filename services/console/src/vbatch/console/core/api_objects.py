"""The objects of the API as the console reads them: only the fields it shows, each as the gateway describes it."""

from __future__ import annotations

import msgspec

from vbatch.console.core.reading_objects import DevicePlan, Quality, Search
from vbatch.contracts.lifecycle import STEERABLE, TERMINAL, BatchStatus

ADMIN_SCOPE = "admin"
RETRYABLE = frozenset({BatchStatus.COMPLETED, BatchStatus.EXPIRED, BatchStatus.CANCELLED})


class Me(msgspec.Struct, frozen=True):
    owner: str
    key_id: str | None
    server_version: str
    scopes: tuple[str, ...] = ()

    @property
    def is_admin(self) -> bool:
        return ADMIN_SCOPE in self.scopes


class Counts(msgspec.Struct, frozen=True):
    total: int
    completed: int
    failed: int

    @property
    def answered(self) -> int:
        return self.completed + self.failed


class Usage(msgspec.Struct, frozen=True):
    input_tokens: int
    output_tokens: int


class Eta(msgspec.Struct, frozen=True):
    """Unix seconds."""

    earliest: int
    likely: int
    latest: int
    is_guess: bool


class Admission(msgspec.Struct, frozen=True):
    feasible: bool
    earliest_completion_window: str | None


class Fault(msgspec.Struct, frozen=True):
    """A fault of an input file; `text` is set only by a check."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None
    text: str | None = None


class Faults(msgspec.Struct, frozen=True):
    data: tuple[Fault, ...]


class Batch(msgspec.Struct, frozen=True):
    id: str
    endpoint: str
    model: str | None
    input_file_id: str
    completion_window: str
    status: BatchStatus
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelled_at: int | None
    request_counts: Counts
    usage: Usage
    metadata: dict[str, str] | None
    priority: int
    paused_at: int | None
    queue_position: int | None
    eta: Eta | None
    requests_per_second: float | None
    waiting_for: str | None
    admission: Admission | None
    errors: Faults | None = None
    retry_of: str | None = None
    fanout_id: str | None = None
    pause_on: dict[str, float] | None = None
    quality: Quality | None = None

    @property
    def is_retryable(self) -> bool:
        """Whether the batch has ended with requests that have no successful answer."""
        return self.status in RETRYABLE and self.request_counts.completed < self.request_counts.total

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL

    @property
    def is_steerable(self) -> bool:
        return self.status in STEERABLE

    @property
    def name(self) -> str:
        """Return the owner's name for the batch, otherwise its id."""
        return (self.metadata or {}).get("name") or self.id

    @property
    def ended_at(self) -> int | None:
        return self.completed_at or self.failed_at or self.expired_at or self.cancelled_at


class BatchPage(msgspec.Struct, frozen=True):
    data: tuple[Batch, ...]
    has_more: bool
    last_id: str | None


class QueueEntry(msgspec.Struct, frozen=True):
    batch_id: str
    model: str | None
    status: BatchStatus
    priority: int
    waiting_requests: int
    starts_at: int | None
    queue_position: int | None
    eta: Eta | None
    requests_per_second: float | None
    waiting_for: str | None
    admission: Admission | None


class Others(msgspec.Struct, frozen=True):
    batches: int
    waiting_requests: int


class Queue(msgspec.Struct, frozen=True):
    """`paused_at` is set while all work is paused."""

    as_of: int
    data: tuple[QueueEntry, ...]
    others: Others
    paused_at: int | None = None
    pause_reason: str | None = None
    devices: tuple[DevicePlan, ...] = ()


class Why(msgspec.Struct, frozen=True):
    batch_id: str
    as_of: int
    waiting_for: str | None = None
    reason: str | None = None
    runs_first: tuple[str, ...] = ()
    others_first: int = 0
    remedies: tuple[str, ...] = ()
    starts_at: int | None = None
    waiting_requests: int | None = None
    eta: Eta | None = None
    admission: Admission | None = None


class Service(msgspec.Struct, frozen=True):
    name: str
    state: str
    detail: str
    checked_at: int

    @property
    def is_ready(self) -> bool:
        return self.state == "ready"


class Server(msgspec.Struct, frozen=True):
    version: str
    is_ready: bool
    services: tuple[Service, ...]


class Drain(msgspec.Struct, frozen=True):
    """`done_at` is None while something is still inside the runner's engine."""

    goal: str
    requested_at: int
    by: str
    reason: str | None
    done_at: int | None


class Runner(msgspec.Struct, frozen=True):
    """`drain` is None for a runner that takes work."""

    id: str
    state: str
    device: str
    memory_bytes: int
    model: str | None
    request_window: int
    detail: str
    since: int
    drain: Drain | None = None


class Runners(msgspec.Struct, frozen=True):
    data: tuple[Runner, ...]


class Loads(msgspec.Struct, frozen=True):
    load_count: int
    loaded_at: int | None
    load_seconds: float | None
    request_window: int | None
    failed_at: int | None
    failure: str | None
    lowered: tuple[str, ...]


class Model(msgspec.Struct, frozen=True):
    id: str
    engine: str
    source: str | None
    endpoints: tuple[str, ...]
    max_num_seqs: int
    arguments: dict[str, bool | int | float | str]
    environment_names: tuple[str, ...]
    registered_at: int
    loads: Loads


class Registry(msgspec.Struct, frozen=True):
    data: tuple[Model, ...]


class Event(msgspec.Struct, frozen=True):
    sequence: int
    type: str
    at: float
    aggregate: str
    aggregate_id: str
    sentence: str
    data: msgspec.Raw

    @property
    def body(self) -> str:
        """Return the event's JSON in readable form."""
        return msgspec.json.format(bytes(self.data), indent=2).decode(errors="replace")


class EventPage(msgspec.Struct, frozen=True):
    data: tuple[Event, ...]
    has_more: bool
    next_before: int | None


class Line(msgspec.Struct, frozen=True):
    line: int
    custom_id: str
    succeeded: bool
    status_code: int | None
    error_code: str | None
    input_tokens: int
    output_tokens: int
    seconds: float
    request: str | None
    answer: str | None
    model: str | None = None
    finish_reason: str | None = None
    text_chars: int | None = None
    is_json: bool | None = None


class LinePage(msgspec.Struct, frozen=True):
    data: tuple[Line, ...]
    has_more: bool
    last_line: int | None
    search: Search | None = None


class LineDetail(msgspec.Struct, frozen=True):
    """`request` and `answer` are JSON as received, `null` if there is none."""

    line: int
    request: msgspec.Raw
    request_head: str | None
    answer: msgspec.Raw
    answer_head: str | None


class FaultKind(msgspec.Struct, frozen=True):
    error_code: str | None
    status_code: int | None
    count: int
    first_line: int
    example: str | None


class FaultKinds(msgspec.Struct, frozen=True):
    data: tuple[FaultKind, ...]


class Series(msgspec.Struct, frozen=True):
    starts_at: int | None
    step_seconds: int
    completed: tuple[int, ...]
    failed: tuple[int, ...]
    output_tokens: tuple[int, ...]


class StoredFile(msgspec.Struct, frozen=True):
    id: str
    purpose: str
    filename: str
    bytes: int
    created_at: int
    expires_at: int | None


class FilePage(msgspec.Struct, frozen=True):
    data: tuple[StoredFile, ...]
    has_more: bool
    last_id: str | None


class FileCheck(msgspec.Struct, frozen=True):
    file_id: str
    endpoint: str
    is_fit: bool
    requests: int
    model: str | None
    work_seconds: float | None
    is_guess: bool
    fault_count: int
    faults: tuple[Fault, ...]


class ErrorBody(msgspec.Struct, frozen=True):
    message: str
    code: str | None = None
    param: str | None = None


class ErrorEnvelope(msgspec.Struct, frozen=True):
    error: ErrorBody
