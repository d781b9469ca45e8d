"""Creating, rotating and revoking API keys: the params, and the events that record it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vbatch.contracts import events as e
from vbatch.contracts.access import Scope, is_owner_name
from vbatch.contracts.ids import OwnerId, imported_key_id, key_id_of, new_api_key
from vbatch.gateway.core.access import Access, ApiKey
from vbatch.gateway.core.api_keys import ApiKeys, digest_of
from vbatch.gateway.core.pages import UNIX_SECONDS_MAX
from vbatch.gateway.core.refusals import Reason, Refusal, key_over, type_invalid
from vbatch.gateway.core.shapes import bounded_string, integer, integer_between, json_object, string

KEYS_MAX = 10_000
"""The most valid keys, of all owners."""
NAME_CHARS_MAX = 100
REASON_CHARS_MAX = 200
HINT_CHARS = 4
KEEP_HOURS_DEFAULT = 24
KEEP_HOURS_MAX = 168
OPERATOR = "operator"
IMPORTED_NAME = "imported from the key file"
CREATE_REQUIRED = ("owner", "name", "scopes")


@dataclass(frozen=True, slots=True)
class KeyParams:
    owner: OwnerId
    name: str
    scopes: tuple[Scope, ...]
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """The event, and the key itself, which is shown once and stored nowhere."""

    event: e.KeyCreated
    text: str


def parse_key_params(raw: bytes, now: datetime) -> KeyParams:
    """Parse the body. Raises Refusal."""
    body = json_object(raw, required=CREATE_REQUIRED, optional=("expires_at",))
    return KeyParams(
        owner=owner_name(string(body["owner"], "owner"), "owner"),
        name=printable(body["name"], "name", NAME_CHARS_MAX),
        scopes=_scopes(body["scopes"]),
        expires_at=_expiry(body.get("expires_at"), now),
    )


def read_keep_hours(raw: bytes) -> int:
    """Return for how many hours a rotated key stays valid. Raises Refusal."""
    if not raw:
        return KEEP_HOURS_DEFAULT
    hours = json_object(raw, required=(), optional=("keep_old_for_hours",)).get("keep_old_for_hours")
    name = "keep_old_for_hours"
    return KEEP_HOURS_DEFAULT if hours is None else integer_between(integer(hours, name), name, 0, KEEP_HOURS_MAX)


def new_key(params: KeyParams, *, by: str, now: datetime, entropy: bytes) -> NewKey:
    """`entropy` is 32 bytes."""
    text = new_api_key(entropy)
    key_id = key_id_of(text)
    assert key_id is not None
    event = e.KeyCreated(
        at=now,
        key_id=key_id,
        owner=params.owner,
        name=params.name,
        scopes=params.scopes,
        sha256=digest_of(text),
        hint=text[-HINT_CHARS:],
        by=by,
        expires_at=params.expires_at,
    )
    return NewKey(event, text)


def check_may_create(access: Access, params: KeyParams, now: datetime) -> None:
    """Raises Refusal."""
    if not access.keys and Scope.ADMIN not in params.scopes:
        words = "The first key must have the scope 'admin': without one nobody could make another."
        raise Refusal(Reason.VALUE_INVALID, words, "scopes")
    if sum(1 for _ in access.keys_that_open(now)) >= KEYS_MAX:
        raise Refusal(Reason.VALUE_INVALID, f"There are {KEYS_MAX} keys already: revoke some first.")


def rotation(key: ApiKey, *, keep_hours: int, by: str, now: datetime, entropy: bytes) -> tuple[NewKey, e.KeyExpirySet]:
    """Return a key with the same rights, and the event that ends the old key. Raises Refusal."""
    if not key.opens(now):
        raise key_over(key.id)
    made = new_key(KeyParams(key.owner, key.name, key.scopes), by=by, now=now, entropy=entropy)
    ends_at = now + timedelta(hours=keep_hours)
    if key.expires_at is not None:
        ends_at = min(ends_at, key.expires_at)
    return made, e.KeyExpirySet(at=now, key_id=key.id, expires_at=ends_at, by=by, replaced_by=made.event.key_id)


def imported(file_keys: ApiKeys, now: datetime) -> list[e.KeyCreated]:
    """Return the keys of the key file as events: each name is an owner, with the rights it had."""
    return [
        e.KeyCreated(
            at=now,
            key_id=imported_key_id(digest),
            owner=owner,
            name=IMPORTED_NAME,
            scopes=(Scope.USER,),
            sha256=digest,
            hint="",
            by=OPERATOR,
        )
        for digest, owner in file_keys.owners.items()
    ]


def newest_first(keys: Sequence[ApiKey], owner: str | None) -> list[ApiKey]:
    chosen = [key for key in keys if owner is None or key.owner == owner]
    return sorted(chosen, key=lambda key: (key.created_at, key.id), reverse=True)


def owner_name(text: str, param: str) -> OwnerId:
    """Raises Refusal."""
    if not is_owner_name(text):
        words = f"Invalid '{param}': expected 1 to 64 of A-Z, a-z, 0-9, '_', '.' and '-'."
        raise Refusal(Reason.VALUE_INVALID, words, param)
    return OwnerId(text)


def printable(value: object, name: str, chars_max: int) -> str:
    """Return a name for people, on one line. Raises Refusal."""
    text = bounded_string(string(value, name), name, chars_max)
    if not text.strip() or not text.isprintable():
        raise Refusal(Reason.VALUE_INVALID, f"Invalid '{name}': expected printable characters on one line.", name)
    return text


def _scopes(value: object) -> tuple[Scope, ...]:
    if not isinstance(value, list):
        raise type_invalid("scopes", "an array", value)
    names = [string(name, "scopes") for name in value]
    unknown = [name for name in names if name not in set(Scope)]
    if unknown or not names:
        words = "Supported values are: 'read', 'user', and 'admin'; at least one."
        shown = unknown[0] if unknown else ""
        raise Refusal(Reason.VALUE_INVALID, f"Invalid value: '{shown}'. {words}", "scopes")
    return tuple(scope for scope in Scope if scope in names)


def _expiry(value: object, now: datetime) -> datetime | None:
    if value is None:
        return None
    least = int(now.timestamp()) + 1
    seconds = integer_between(integer(value, "expires_at"), "expires_at", least, UNIX_SECONDS_MAX)
    return datetime.fromtimestamp(seconds, UTC)
