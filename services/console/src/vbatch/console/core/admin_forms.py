"""The API requests of the administrators' forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from vbatch.console.core.admin_objects import Change, Limits, Quota
from vbatch.console.core.new_batch import Misfilled

SCOPES = {"read": "look", "user": "look and change", "admin": "everything"}
EXPIRY_DAYS = {
    "": "never",
    "1": "after a day",
    "7": "after a week",
    "30": "after 30 days",
    "90": "after 90 days",
    "365": "after a year",
}
KEEP_HOURS = {"0": "at once", "1": "after an hour", "24": "after a day", "168": "after a week"}
LIMIT_WORDS: Mapping[str, str] = {
    "creates_per_minute_max": "batches created",
    "uploads_per_minute_max": "uploads begun",
    "reads_per_minute_max": "reads",
    "bytes_per_minute_max": "bytes sent",
}
QUOTA_WORDS: Mapping[str, str] = {
    "unfinished_batches_max": "unfinished batches",
    "unanswered_requests_max": "unanswered requests",
    "stored_bytes_max": "stored bytes",
    "tokens_per_day_max": "tokens a day",
    "priority_max": "highest priority",
}
DIGITS_MAX = 16

Ask = dict[str, object]
Fields = Mapping[str, str]


def key_body(fields: Fields, now: int) -> Ask:
    """Raises Misfilled."""
    owner, name = fields.get("owner", "").strip(), fields.get("name", "").strip()
    if not owner or not name:
        raise Misfilled("A key needs an owner and a name.")
    scope, days = fields.get("scope", ""), fields.get("expires", "")
    if scope not in SCOPES or days not in EXPIRY_DAYS:
        raise Misfilled("Choose what the key may do, and when it ends.")
    ask: Ask = {"owner": owner, "name": name, "scopes": [scope]}
    if days:
        ask["expires_at"] = int((datetime.fromtimestamp(now, UTC) + timedelta(days=int(days))).timestamp())
    return ask


def rotation_body(fields: Fields) -> Ask:
    """Raises Misfilled."""
    hours = fields.get("keep_old_for_hours", "24")
    if hours not in KEEP_HOURS:
        raise Misfilled("Choose how long the old key stays valid.")
    return {"keep_old_for_hours": int(hours)}


def quota_body(fields: Fields) -> Ask:
    """Return the quota; an empty field means no limit. Raises Misfilled."""
    return {name: number_of(fields.get(name, ""), words) for name, words in QUOTA_WORDS.items()}


def limits_body(fields: Fields) -> Ask:
    """Return only the limits that the form names; an empty field means no limit. Raises Misfilled."""
    named = {name: words for name, words in LIMIT_WORDS.items() if name in fields}
    return {name: number_of(fields[name], words) or 0 for name, words in named.items()}


def webhook_body(fields: Fields, event_types: Sequence[str]) -> Ask:
    """Raises Misfilled."""
    name, url = fields.get("name", "").strip(), fields.get("url", "").strip()
    if not name or not url:
        raise Misfilled("A webhook needs a name and a URL.")
    if not event_types:
        raise Misfilled("Choose at least one event.")
    return {"name": name, "url": url, "event_types": list(event_types)}


def number_of(text: str, words: str) -> int | None:
    """Return the number, None for an empty text; commas or blanks may separate thousands. Raises Misfilled."""
    plain = text.strip().replace(",", "").replace(" ", "").replace("_", "")
    if not plain:
        return None
    digits = plain.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX):
        raise Misfilled(f"{words.capitalize()}: {text[:40]!r} is no whole number.")
    return int(plain)


def limits_of(limits: Limits) -> dict[str, int]:
    """Return the limits that may be changed, by name."""
    return {name: getattr(limits, name) for name in LIMIT_WORDS if name not in limits.pinned}


def quota_fields(quota: Quota) -> dict[str, int | None]:
    fields: dict[str, int | None] = msgspec.structs.asdict(quota)
    return fields


def undo_fields(change: Change) -> dict[str, str]:
    """Return the form that sets rate limits as they were before the change."""
    before = {field.name: str(field.before or 0) for field in change.fields}
    return before | {"from": "config", "is_undo": "yes"}


def undone_quota(quota: Quota, change: Change) -> Ask:
    """Return the quota with the changed values as they were before."""
    return {**quota_fields(quota), **{field.name: field.before for field in change.fields}}
