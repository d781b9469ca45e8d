"""The words of access: what a key may do, how much an owner may have at once, how often a key may ask."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

OWNER_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""The name of an owner; also of a key, which is told apart by its id."""


class Scope(StrEnum):
    """What a key may do; each scope includes those before it."""

    READ = "read"
    """Look at the objects of its owner."""
    USER = "user"
    """Make and change the objects of its owner."""
    ADMIN = "admin"
    """Everything, for every owner: keys, quotas, limits."""


RANKS = {scope: rank for rank, scope in enumerate(Scope)}


class Quota(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one owner may have at most; None limits nothing. Days are days of UTC."""

    unfinished_batches_max: int | None = None
    unanswered_requests_max: int | None = None
    stored_bytes_max: int | None = None
    tokens_per_day_max: int | None = None
    priority_max: int | None = None


class RateLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How often one key may ask in a minute, and how many bytes it may send; 0 limits nothing."""

    creates_per_minute_max: int = 0
    uploads_per_minute_max: int = 0
    reads_per_minute_max: int = 0
    bytes_per_minute_max: int = 0


NO_QUOTA = Quota()
NO_LIMITS = RateLimits()


def is_owner_name(text: str) -> bool:
    return OWNER_PATTERN.fullmatch(text) is not None
