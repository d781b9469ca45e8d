"""The terms of access: what a key may do, how much an owner may have at once, how often a key may send requests."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

OWNER_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""The name of an owner, and also of a key, although a key is identified by its id."""


class Scope(StrEnum):
    """What a key may do; each scope includes those before it."""

    READ = "read"
    """Read the objects of its owner."""
    USER = "user"
    """Create and change the objects of its owner."""
    ADMIN = "admin"
    """Everything, for every owner: keys, quotas, limits."""


RANKS = {scope: rank for rank, scope in enumerate(Scope)}


class Quota(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one owner may have at most. None means no limit. Days are days of UTC."""

    unfinished_batches_max: int | None = None
    unanswered_requests_max: int | None = None
    stored_bytes_max: int | None = None
    tokens_per_day_max: int | None = None
    priority_max: int | None = None


class RateLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How many requests one key may send in a minute, and how many bytes. 0 means no limit."""

    creates_per_minute_max: int = 0
    uploads_per_minute_max: int = 0
    reads_per_minute_max: int = 0
    bytes_per_minute_max: int = 0


NO_QUOTA = Quota()
NO_LIMITS = RateLimits()


def is_owner_name(text: str) -> bool:
    return OWNER_PATTERN.fullmatch(text) is not None
