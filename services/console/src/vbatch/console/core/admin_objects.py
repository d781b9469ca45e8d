"""The API's objects for administrators as the console reads them: only the fields it shows."""

from __future__ import annotations

import msgspec


class Key(msgspec.Struct, frozen=True):
    """Times are Unix seconds."""

    id: str
    owner: str
    name: str
    scopes: tuple[str, ...]
    hint: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    replaced_by: str | None
    last_used_at: int | None

    def opens(self, now: int) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class NewKey(Key, frozen=True):
    """`key` is shown once."""

    key: str


class KeyList(msgspec.Struct, frozen=True):
    data: tuple[Key, ...]


class Quota(msgspec.Struct, frozen=True):
    """None means no limit."""

    unfinished_batches_max: int | None
    unanswered_requests_max: int | None
    stored_bytes_max: int | None
    tokens_per_day_max: int | None
    priority_max: int | None


class OwnerUsage(msgspec.Struct, frozen=True):
    unfinished_batches: int
    unanswered_requests: int
    stored_bytes: int
    tokens_today: int


class Owner(msgspec.Struct, frozen=True):
    """`usage` is None while the read model is away, and in lists."""

    id: str
    keys: int
    quota: Quota
    usage: OwnerUsage | None


class OwnerList(msgspec.Struct, frozen=True):
    data: tuple[Owner, ...]


class Limits(msgspec.Struct, frozen=True):
    """Per minute, for each key; 0 means no limit. `pinned` names the limits that the settings fix."""

    creates_per_minute_max: int
    uploads_per_minute_max: int
    reads_per_minute_max: int
    bytes_per_minute_max: int
    pinned: tuple[str, ...]


class AuditEntry(msgspec.Struct, frozen=True):
    id: int
    at: int
    actor: str
    address: str | None
    action: str
    object_id: str


class AuditPage(msgspec.Struct, frozen=True):
    data: tuple[AuditEntry, ...]
    last_id: int | None
    has_more: bool


class Webhook(msgspec.Struct, frozen=True):
    id: str
    name: str
    url: str
    event_types: tuple[str, ...]
    signing_secret_hint: str
    created_at: int
    updated_at: int
    is_enabled: bool
    disabled_reason: str | None


class WebhookWithSecret(Webhook, frozen=True):
    """`signing_secret` is shown once."""

    signing_secret: str


class WebhookList(msgspec.Struct, frozen=True):
    data: tuple[Webhook, ...]


class WebhookTest(msgspec.Struct, frozen=True):
    status_code: int


class EventTypes(msgspec.Struct, frozen=True):
    data: tuple[str, ...]


class Delivery(msgspec.Struct, frozen=True):
    """The fields about an attempt are those of the last one."""

    id: str
    event_type: str
    status: str
    created_at: int
    attempts: int
    next_attempt_at: int | None
    last_attempt_at: int | None
    status_code: int | None
    error: str | None
    milliseconds: int | None
    body: str
    answer: str


class DeliveryList(msgspec.Struct, frozen=True):
    data: tuple[Delivery, ...]


class Attempt(msgspec.Struct, frozen=True):
    number: int
    at: int
    succeeded: bool
    status_code: int | None
    error: str | None
    milliseconds: int
    answer: str
    next_attempt_at: int | None


class AttemptList(msgspec.Struct, frozen=True):
    data: tuple[Attempt, ...]


class DeviceProcess(msgspec.Struct, frozen=True):
    pid: int
    name: str
    memory_bytes: int | None
    is_ours: bool


class DeviceMemory(msgspec.Struct, frozen=True):
    """`processes` is None where the device does not tell."""

    runner_id: str
    processes: tuple[DeviceProcess, ...] | None


class DeviceMemoryList(msgspec.Struct, frozen=True):
    data: tuple[DeviceMemory, ...]


class QueuePause(msgspec.Struct, frozen=True):
    """`paused_at` is None while work may run."""

    paused_at: int | None
    by: str | None
    reason: str | None


class DeadLetter(msgspec.Struct, frozen=True):
    """`obstacle` says why the API cannot send it again."""

    id: int
    reason: str
    origin: str
    original_sequence: int
    buried_at: int
    subject: str
    obstacle: str | None


class DeadLetterDetail(DeadLetter, frozen=True):
    headers: dict[str, str]
    body: str
    body_bytes: int


class DeadLetterPage(msgspec.Struct, frozen=True):
    data: tuple[DeadLetter, ...]
    last_id: int | None
    has_more: bool


UNSAID = frozenset({"trace_id", "span_id", "color_message"})


class LogLine(msgspec.Struct, frozen=True):
    """`time` is ISO 8601 in UTC."""

    time: str
    service: str
    level: str
    event: str
    details: dict[str, str | int | float | bool | None]

    @property
    def clock(self) -> str:
        """The time of day in UTC, to the millisecond."""
        return self.time.partition("T")[2][:12].rstrip("Z") or self.time

    @property
    def words(self) -> str:
        """Return `key=value` for each detail, except those that only programs read."""
        return "  ".join(f"{name}={value}" for name, value in self.details.items() if name not in UNSAID)


class LogPage(msgspec.Struct, frozen=True):
    """Oldest first."""

    data: tuple[LogLine, ...]
    has_more: bool


class Setting(msgspec.Struct, frozen=True):
    name: str
    variable: str
    value: str
    default: str
    source: str
    place: str
    description: str
    is_secret: bool
    effect: str


class ServiceSettings(msgspec.Struct, frozen=True):
    """`trouble` says why a service that does not answer reports no settings."""

    service: str
    settings: tuple[Setting, ...]
    trouble: str | None


class SettingsList(msgspec.Struct, frozen=True):
    data: tuple[ServiceSettings, ...]


class FieldChange(msgspec.Struct, frozen=True):
    name: str
    before: int | None
    after: int | None


class Change(msgspec.Struct, frozen=True):
    """`target` is an owner, or all keys."""

    id: int
    at: int
    by: str
    action: str
    target: str
    fields: tuple[FieldChange, ...]


class ChangeList(msgspec.Struct, frozen=True):
    data: tuple[Change, ...]
