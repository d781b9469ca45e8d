"""What an owner uses, compared with the quota."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from vbatch.contracts.access import Quota
from vbatch.contracts.lifecycle import PRIORITY_MAX, PRIORITY_MIN
from vbatch.gateway.core.refusals import quota_exceeded
from vbatch.gateway.core.shapes import integer, integer_between, json_object

AMOUNT_MAX = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Usage:
    """What an owner uses now. `tokens_today` are the tokens so far of batches created since midnight UTC."""

    unfinished_batches: int
    unanswered_requests: int
    stored_bytes: int
    tokens_today: int


def day_of(now: datetime) -> datetime:
    """Return the last midnight, UTC."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def limits_batches(quota: Quota) -> bool:
    """Whether creating a batch requires the owner's usage."""
    return (quota.unfinished_batches_max, quota.unanswered_requests_max, quota.tokens_per_day_max) != (None,) * 3


def check_batches(quota: Quota, usage: Usage, count: int) -> None:
    """Raises Refusal when the owner may not have `count` more batches now. The size of the batches is not known yet."""
    _check(quota.unfinished_batches_max, usage.unfinished_batches, "unfinished batches", count)
    _check(quota.unanswered_requests_max, usage.unanswered_requests, "unanswered requests")
    _check(quota.tokens_per_day_max, usage.tokens_today, "tokens a day")


def check_priority(quota: Quota, priority: int) -> None:
    """Raises Refusal."""
    if quota.priority_max is not None and priority > quota.priority_max:
        words = f"You exceeded your quota: your highest priority is {quota.priority_max}, you asked for {priority}."
        raise quota_exceeded(words, "priority")


def check_bytes(quota: Quota, usage: Usage, more: int) -> None:
    """Raises Refusal when the owner may not store this many more bytes."""
    most = quota.stored_bytes_max
    if most is not None and usage.stored_bytes + more > most:
        words = f"You exceeded your quota: {usage.stored_bytes} of {most} bytes are stored, {more} more do not fit."
        raise quota_exceeded(f"{words} Delete files first.")


def read_quota(raw: bytes) -> Quota:
    """Parse a whole quota; a field that is missing or null means no limit. Raises Refusal."""
    body = json_object(raw, required=(), optional=Quota.__struct_fields__)
    return Quota(**{name: _amount(name, value) for name, value in body.items() if value is not None})


def _amount(name: str, value: object) -> int:
    is_priority = name == "priority_max"
    least, most = (PRIORITY_MIN, PRIORITY_MAX) if is_priority else (0, AMOUNT_MAX)
    return integer_between(integer(value, name), name, least, most)


def _check(most: int | None, now: int, what: str, more: int = 1) -> None:
    if most is not None and now + more > most:
        asked = f", and ask for {more} more" if more > 1 else ""
        raise quota_exceeded(f"You exceeded your quota of {what}: you have {now}{asked}, and may have {most}.")


def as_fields(quota: Quota) -> dict[str, int | None]:
    fields: dict[str, int | None] = msgspec.structs.asdict(quota)
    return fields
