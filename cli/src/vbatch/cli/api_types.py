"""The gateway's answers as records, reduced to the fields that the commands show. `--json` prints the server's own
bytes."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from vbatch.cli.exits import CommandError
from vbatch.client import Counts, Faults, StoredFile as StoredFile, Usage
from vbatch.contracts.lifecycle import BatchStatus


class Eta(msgspec.Struct, frozen=True):
    """Times are in Unix seconds."""

    earliest: int
    likely: int
    latest: int
    is_guess: bool = False


class Admission(msgspec.Struct, frozen=True):
    feasible: bool
    earliest_completion_window: str | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in Unix seconds."""

    id: str
    status: BatchStatus
    endpoint: str
    created_at: int
    input_file_id: str
    model: str | None = None
    expires_at: int | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    request_counts: Counts = Counts()
    usage: Usage | None = None
    errors: Faults | None = None
    completion_window: str = "24h"
    eta: Eta | None = None
    waiting_for: str | None = None
    admission: Admission | None = None
    fanout_id: str | None = None


class Fanout(msgspec.Struct, frozen=True, kw_only=True):
    """A file that runs on several models, in a batch for each."""

    id: str
    models: list[str]
    is_over: bool
    request_counts: Counts
    batches: list[Batch]


class QueueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One of your own batches in the queue."""

    batch_id: str
    model: str | None = None
    priority: int = 0
    waiting_requests: int = 0
    queue_position: int | None = None
    requests_per_second: float | None = None
    starts_at: int | None = None
    eta: Eta | None = None
    waiting_for: str | None = None
    admission: Admission | None = None


class Others(msgspec.Struct, frozen=True):
    batches: int = 0


class Queue(msgspec.Struct, frozen=True):
    """`paused_at` is set while all work is paused."""

    data: list[QueueEntry]
    others: Others = Others()
    paused_at: int | None = None
    pause_reason: str | None = None


class Why(msgspec.Struct, frozen=True, kw_only=True):
    batch_id: str
    status: str
    waiting_requests: int | None = None
    waiting_for: str | None = None
    starts_at: int | None = None
    eta: Eta | None = None
    reason: str | None = None
    runs_first: list[str] = []
    others_first: int = 0
    remedies: list[str] = []
    admission: Admission | None = None


class Model(msgspec.Struct, frozen=True):
    id: str
    owned_by: str = ""


class BatchPage(msgspec.Struct, frozen=True):
    data: list[Batch]
    has_more: bool = False


class ModelList(msgspec.Struct, frozen=True):
    data: list[Model]


T = TypeVar("T")


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in Unix seconds. `key` is set only once, when the key is created."""

    id: str
    owner: str
    name: str
    scopes: list[str]
    hint: str = ""
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    replaced_by: str | None = None
    last_used_at: int | None = None
    key: str = ""


class KeyList(msgspec.Struct, frozen=True):
    data: list[Key]


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """What an owner may have, and what it has. `usage` is None while the server cannot tell."""

    id: str
    keys: int = 0
    quota: dict[str, int | None] = {}
    usage: dict[str, int] | None = None


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """`done_at` is None while something is still inside the runner's engine."""

    goal: str
    by: str
    requested_at: int
    reason: str | None = None
    done_at: int | None = None


class Runner(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    state: str
    device: str
    memory_bytes: int
    model: str | None = None
    drain: Drain | None = None


class RunnerList(msgspec.Struct, frozen=True):
    data: list[Runner]


class DeviceProcess(msgspec.Struct, frozen=True, kw_only=True):
    pid: int
    name: str
    memory_bytes: int | None
    is_ours: bool


class DeviceMemory(msgspec.Struct, frozen=True, kw_only=True):
    """`processes` is None where the device does not tell."""

    runner_id: str
    processes: list[DeviceProcess] | None


class DeviceMemoryList(msgspec.Struct, frozen=True):
    data: list[DeviceMemory]


class WebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """`signing_secret` is set only once, when the endpoint is created."""

    id: str
    name: str
    url: str
    event_types: list[str]
    created_at: int
    is_enabled: bool = True
    disabled_reason: str | None = None
    signing_secret: str = ""


class WebhookEndpointList(msgspec.Struct, frozen=True):
    data: list[WebhookEndpoint]
    has_more: bool = False


class WebhookDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """Times are Unix seconds."""

    id: str
    event_type: str
    status: str
    created_at: int
    attempts: int
    next_attempt_at: int | None = None
    status_code: int | None = None
    error: str | None = None
    milliseconds: int | None = None


class WebhookDeliveryList(msgspec.Struct, frozen=True):
    data: list[WebhookDelivery]


class WebhookTest(msgspec.Struct, frozen=True):
    status_code: int
    event_type: str = ""


class WebhookEventTypes(msgspec.Struct, frozen=True):
    data: list[str]


class Me(msgspec.Struct, frozen=True, kw_only=True):
    owner: str
    key_id: str | None = None
    scopes: list[str]
    expires_at: int | None = None
    quota: dict[str, int | None] = {}
    usage: dict[str, int] | None = None
    server_version: str = ""


def read(document: bytes, kind: type[T]) -> T:
    """Decode the server's answer. Raises CommandError if it is not an answer of this server."""
    try:
        return msgspec.json.decode(document, type=kind)
    except msgspec.DecodeError as error:
        raise CommandError(
            f"The server's answer was not understood ({error}); is --url a vLLM Batch Server?"
        ) from error
