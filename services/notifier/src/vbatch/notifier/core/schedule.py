"""When a delivery is tried again, what an answer means, and when an endpoint is disabled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from vbatch.contracts.webhooks import DeliveryFault

MINUTE, HOUR = 60.0, 3_600.0
WAITS = (0.0, 5.0, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
"""Seconds before each try: ten tries in about 76 hours, as the Standard Webhooks specification proposes."""
JITTER = 0.1
"""The random share of a wait, up or down, so that a receiver that is back does not get everything at the same
moment."""
RETRY_AFTER_SECONDS_MAX = 24 * HOUR
SETTLE_SECONDS = 1.0
"""The wait before the first try, so that a receiver that requests the batch at once finds its end in the read model."""

GONE = 410
ASKS_TO_WAIT = frozenset({429, 502, 503, 504})
FAILURES_IN_A_ROW_MAX = 20
FAILING_DAYS_MAX = 5


class Verdict(StrEnum):
    DELIVERED = "delivered"
    GONE = "gone"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of one try: a status code, or a fault. `retry_after` is what the receiver asked for, in seconds."""

    milliseconds: int
    status_code: int | None = None
    fault: DeliveryFault | None = None
    body: str = ""
    retry_after: float | None = None


def verdict(answer: Answer) -> Verdict:
    """Judge an answer. Redirects are never followed, so they count like any other answer that is not 2xx."""
    code = answer.status_code
    if code is not None and 200 <= code < 300:
        return Verdict.DELIVERED
    return Verdict.GONE if code == GONE else Verdict.RETRY


def next_try(delivery_id: str, tries: int, answer: Answer, now: datetime) -> datetime | None:
    """When to try again after `tries` failed tries; None if they are used up."""
    if tries >= len(WAITS):
        return None
    wait = WAITS[tries] * (1 + JITTER * _lot(delivery_id, tries))
    if answer.status_code in ASKS_TO_WAIT and answer.retry_after is not None:
        wait = max(wait, min(answer.retry_after, RETRY_AFTER_SECONDS_MAX))
    return now + timedelta(seconds=wait)


def reason_to_disable(answer: Answer, failures_in_a_row: int, failing_since: datetime, now: datetime) -> str | None:
    """Why to disable the endpoint, with this failure counted; None if it stays enabled."""
    if verdict(answer) is Verdict.GONE:
        return "the endpoint answered 410 Gone"
    if failures_in_a_row >= FAILURES_IN_A_ROW_MAX:
        return f"{failures_in_a_row} attempts in a row failed"
    if now - failing_since >= timedelta(days=FAILING_DAYS_MAX):
        return f"no attempt has succeeded for {FAILING_DAYS_MAX} days"
    return None


def retry_after_seconds(header: Mapping[str, str]) -> float | None:
    """The Retry-After header in seconds; None if it is missing or not a number. Dates are ignored."""
    text = header.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _lot(delivery_id: str, tries: int) -> float:
    """A number from -1 to 1 that looks random but is the same for the same try, so that a replay repeats it."""
    digest = hashlib.sha256(f"{delivery_id}|{tries}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**31 - 1
