"""Before a key expires somebody is told; where nobody has to act, nothing is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from prometheus_client import CollectorRegistry

from tests.support.events import NOON
from vbatch.chassis.readings import Readings
from vbatch.contracts.access import Scope
from vbatch.contracts.ids import KeyId, OwnerId
from vbatch.gateway.adapters.key_metrics import key_reading
from vbatch.gateway.core.access import Access, ApiKey
from vbatch.gateway.core.api_keys import NO_KEYS
from vbatch.gateway.core.key_expiry import next_expiry

DAY = timedelta(days=1)
KEY = ApiKey(
    id=KeyId("key_0aB1cD2e"),
    owner=OwnerId("ann"),
    name="laptop",
    scopes=(Scope.USER,),
    sha256="00" * 32,
    hint="w9Xz",
    created_at=NOON - 80 * DAY,
    sequence=1,
    expires_at=NOON + 10 * DAY,
)


def test_the_first_key_to_expire_is_told():
    later = replace(KEY, expires_at=NOON + 30 * DAY)
    assert next_expiry([later, KEY, replace(KEY, expires_at=None)], NOON) == KEY.expires_at


def test_keys_that_need_no_successor_are_not_told():
    rotated = replace(KEY, replaced_by=KeyId("key_next0000"))
    revoked = replace(KEY, revoked_at=NOON - DAY)
    expired = replace(KEY, expires_at=NOON)
    temporary = replace(KEY, created_at=NOON - 4 * DAY)
    assert next_expiry([rotated, revoked, expired, temporary], NOON) is None


async def test_the_metric_is_there_while_a_key_expires_and_is_gone_afterwards():
    access, now = Access(NO_KEYS, is_local=True, keys={KEY.id: KEY}), [NOON]
    registry = CollectorRegistry()
    readings = Readings(registry, {"keys": key_reading(access, lambda: now[0])})
    name = "vbatch_api_key_expiry_timestamp_seconds"
    await readings.refresh()
    assert registry.get_sample_value(name) == (NOON + 10 * DAY).timestamp()
    now[0] = NOON + 10 * DAY
    await readings.refresh()
    assert registry.get_sample_value(name) is None
