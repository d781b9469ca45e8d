"""Which keys somebody should replace soon: those that still work, will expire, and have no successor yet."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from vbatch.gateway.core.access import ApiKey

NOTICE = timedelta(days=14)
"""How long before the end somebody is told, by `vbatch keys list` and by the alert ApiKeyExpires. A key that was made
for less time than this is meant to end, so nobody is told of it."""


def next_expiry(keys: Iterable[ApiKey], now: datetime) -> datetime | None:
    """When the first of these keys expires that should be replaced; None if there is no such key."""
    ends = (key.expires_at for key in keys if key.opens(now) and _should_be_replaced(key))
    return min((end for end in ends if end is not None), default=None)


def _should_be_replaced(key: ApiKey) -> bool:
    is_temporary = key.expires_at is not None and key.expires_at - key.created_at <= NOTICE
    return key.replaced_by is None and not is_temporary
