"""The first admin key, created on the machine itself by a user who may write to the log; this imports the key file as
well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from vbatch.contracts.access import Scope
from vbatch.contracts.codec import decode, encode
from vbatch.contracts.subjects import KEY_EVENTS
from vbatch.gateway.core.access import Access
from vbatch.gateway.core.api_keys import ApiKeys
from vbatch.gateway.core.keys import OPERATOR, KeyParams, NewKey, imported, new_key
from vbatch.journal.port import APPEND_ALL_MESSAGES_MAX, Guard, Log


class AdminKeyExists(Exception):
    """An admin key exists already; the text names its id."""


class TooManyKeys(Exception):
    """The key file holds more keys than can be recorded in one write."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    made: NewKey
    imported_count: int


async def init_keys(
    log: Log, file_keys: ApiKeys, params: KeyParams, *, now: datetime, entropy: bytes, is_again: bool = False
) -> Bootstrap:
    """Write everything at once, or nothing. With `is_again` an admin key is created even if one exists, because it may
    be lost.

    Raises AdminKeyExists, TooManyKeys, and Conflict when another process did it meanwhile.
    """
    access = await _read(log)
    for key in access.keys_that_open(now):
        if key.scope is Scope.ADMIN and not is_again:
            raise AdminKeyExists(key.id)
    made = new_key(params, by=OPERATOR, now=now, entropy=entropy)
    taken_over = [event for event in imported(file_keys, now) if event.key_id not in access.keys]
    if len(taken_over) >= APPEND_ALL_MESSAGES_MAX:
        raise TooManyKeys(f"the key file holds {len(taken_over)} keys, at most {APPEND_ALL_MESSAGES_MAX - 1} can be")
    messages = [encode(event, source=OPERATOR) for event in (made.event, *taken_over)]
    await log.append_all(messages, Guard(KEY_EVENTS, access.sequence))
    return Bootstrap(made, len(taken_over))


async def _read(log: Log) -> Access:
    access = Access(ApiKeys({}), is_local=False)
    newest = await log.last(KEY_EVENTS)
    if newest is None:
        return access
    async with log.tail(0, [KEY_EVENTS]) as tail:
        async for records in tail:
            for record in records:
                access.evolve(decode(record), record.sequence)
            if access.sequence >= newest.sequence:
                break
    return access
