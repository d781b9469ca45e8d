"""Who is let in, and what that one may: a fold of the log and a look at a header."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta

import pytest

from tests.support.events import KEY, NOON
from vbatch.contracts import events as e
from vbatch.contracts.access import Quota, RateLimits, Scope
from vbatch.contracts.ids import OwnerId, imported_key_id, is_key_id, key_id_of, new_api_key
from vbatch.gateway.core.access import Access, is_asked_from_here
from vbatch.gateway.core.api_keys import NO_KEYS, ApiKeys, read_key_file
from vbatch.gateway.core.keys import (
    KeyParams,
    NewKey,
    check_may_create,
    imported,
    new_key,
    parse_key_params,
    read_keep_hours,
    rotation,
)
from vbatch.gateway.core.refusals import Reason, Refusal

DIGEST = hashlib.sha256(b"right").hexdigest()
FILE_KEYS = read_key_file(f"# people\n\nann {DIGEST}\n")
ANN = OwnerId("ann")
HOUR = timedelta(hours=1)


def known(*events: e.AnyEvent, file_keys: ApiKeys = NO_KEYS, is_local: bool = True) -> Access:
    access = Access(file_keys, is_local=is_local, is_caught_up=True)
    for sequence, event in enumerate(events, start=1):
        access.evolve(event, sequence)
    return access


def made(scope: Scope = Scope.USER, number: int = 1, **more: object) -> NewKey:
    params = KeyParams(ANN, "laptop", (scope,), **more)  # type: ignore[arg-type]  # the fields of KeyParams
    return new_key(params, by="operator", now=NOON, entropy=bytes([number]) * 32)


def refusal_of(access: Access, authorization: str | None, at=NOON) -> Reason:
    with pytest.raises(Refusal) as refused:
        access.caller(authorization, at)
    return refused.value.reason


def test_without_keys_whoever_reaches_a_loopback_server_is_local_with_every_right():
    for authorization in (None, "Bearer any"):
        caller = known().caller(authorization, NOON)
        assert (caller.owner, caller.name, caller.scope) == ("local", "local", Scope.ADMIN)


def test_without_keys_a_server_that_others_reach_lets_nobody_in():
    assert refusal_of(known(is_local=False), "Bearer any") is Reason.KEY_MISSING


def test_a_key_of_the_file_owns_what_its_name_says_and_rules_over_nothing():
    access = known(file_keys=FILE_KEYS)
    for authorization in ("Bearer right", "bearer  right", "Basic " + base64.b64encode(b":right").decode()):
        caller = access.caller(authorization, NOON)
        assert (caller.owner, caller.scope, caller.name) == ("ann", Scope.USER, imported_key_id(DIGEST))


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic right"])
@pytest.mark.parametrize("access", [known(file_keys=FILE_KEYS), known(made().event)])
def test_a_missing_key_is_refused(access: Access, header: str | None):
    assert refusal_of(access, header) is Reason.KEY_MISSING


def test_a_wrong_key_is_not_repeated_to_whoever_reads_the_answer():
    with pytest.raises(Refusal) as refused:
        known(made().event).caller("Bearer sk-abcdefghijklmnopqrstuvwxyz", NOON)
    assert "sk-********wxyz" in refused.value.message
    assert "abcdef" not in refused.value.message


def test_a_key_opens_what_its_scopes_say():
    key = made(Scope.USER)
    access = known(key.event)
    caller = access.caller(f"Bearer {key.text}", NOON)
    assert (caller.owner, caller.name) == (ANN, key.event.key_id)
    access.must_be_allowed(caller, Scope.READ)
    access.must_be_allowed(caller, Scope.USER)
    with pytest.raises(Refusal, match="Missing scopes: admin") as refused:
        access.must_be_allowed(caller, Scope.ADMIN)
    assert (refused.value.answer.status, refused.value.answer.code) == (403, "insufficient_permissions")


def test_a_revoked_key_opens_nothing_and_is_answered_like_an_unknown_one():
    key = made()
    access = known(key.event, e.KeyRevoked(at=NOON, key_id=key.event.key_id, by=KEY))
    assert refusal_of(access, f"Bearer {key.text}") is Reason.KEY_WRONG


def test_a_key_opens_nothing_from_its_end_on():
    key = made(expires_at=NOON + HOUR)
    access = known(key.event)
    access.caller(f"Bearer {key.text}", NOON + HOUR - timedelta(seconds=1))
    assert refusal_of(access, f"Bearer {key.text}", NOON + HOUR) is Reason.KEY_WRONG


def test_before_the_log_is_read_nobody_is_let_in():
    key = made()
    for access in (known(), known(file_keys=FILE_KEYS), known(key.event)):
        access.is_caught_up = False
        assert refusal_of(access, f"Bearer {key.text}") is Reason.UNAVAILABLE


def test_the_first_key_of_the_log_ends_the_time_of_the_file():
    key = made()
    access = known(key.event, file_keys=FILE_KEYS)
    assert refusal_of(access, "Bearer right") is Reason.KEY_WRONG
    assert access.caller(f"Bearer {key.text}", NOON).owner == ANN


def test_an_imported_key_opens_what_it_did_and_keeps_its_id():
    [event] = imported(FILE_KEYS, NOON)
    before = known(file_keys=FILE_KEYS).caller("Bearer right", NOON)
    after = known(event, file_keys=FILE_KEYS).caller("Bearer right", NOON)
    assert (after.owner, after.scope, after.name) == (before.owner, before.scope, before.name)


def test_all_keys_revoked_is_not_as_if_there_were_none():
    key = made()
    access = known(key.event, e.KeyRevoked(at=NOON, key_id=key.event.key_id, by=KEY))
    assert refusal_of(access, None) is Reason.KEY_MISSING


def test_whoever_was_let_in_is_looked_at_again():
    key = made()
    access = known(key.event)
    caller = access.caller(f"Bearer {key.text}", NOON)
    assert access.is_still(caller, NOON)
    access.evolve(e.KeyRevoked(at=NOON, key_id=key.event.key_id, by=KEY), 2)
    assert not access.is_still(caller, NOON)


def test_local_is_local_until_there_is_a_key():
    access = known()
    caller = access.caller(None, NOON)
    assert access.is_still(caller, NOON)
    access.evolve(made().event, 1)
    assert not access.is_still(caller, NOON)


def test_a_rotation_gives_a_like_key_and_lets_the_old_one_live_for_a_while():
    old = made(Scope.READ)
    access = known(old.event)
    new, expiry = rotation(access.keys[old.event.key_id], keep_hours=2, by="local", now=NOON, entropy=bytes([9]) * 32)
    events: tuple[e.AnyEvent, ...] = (new.event, expiry)
    for sequence, event in enumerate(events, start=2):
        access.evolve(event, sequence)
    assert access.caller(f"Bearer {new.text}", NOON + 3 * HOUR).scope is Scope.READ
    assert access.caller(f"Bearer {old.text}", NOON + HOUR).owner == ANN
    assert refusal_of(access, f"Bearer {old.text}", NOON + 2 * HOUR) is Reason.KEY_WRONG
    assert access.keys[old.event.key_id].replaced_by == new.event.key_id


def test_a_rotation_never_lengthens_a_life():
    old = made(expires_at=NOON + HOUR)
    key = known(old.event).keys[old.event.key_id]
    assert rotation(key, keep_hours=24, by="local", now=NOON, entropy=bytes(32))[1].expires_at == NOON + HOUR
    with pytest.raises(Refusal):
        rotation(key, keep_hours=24, by="local", now=NOON + HOUR, entropy=bytes(32))


def test_the_first_key_must_be_able_to_make_others():
    for scope, is_allowed in ((Scope.USER, False), (Scope.ADMIN, True)):
        if is_allowed:
            check_may_create(known(), KeyParams(ANN, "a", (scope,)), NOON)
        else:
            with pytest.raises(Refusal, match="first key"):
                check_may_create(known(), KeyParams(ANN, "a", (scope,)), NOON)
    check_may_create(known(made(Scope.ADMIN).event), KeyParams(ANN, "a", (Scope.READ,)), NOON)


def test_a_key_tells_its_id_and_nothing_of_its_secret():
    text = new_api_key(bytes(range(32)))
    key_id = key_id_of(text)
    assert key_id is not None and is_key_id(key_id) and len(text) == 6 + 8 + 1 + 32
    assert text.split("_")[1] not in key_id
    assert key_id_of(text + "x") is None and key_id_of("right") is None


@pytest.mark.parametrize(
    ("host", "origin", "is_here"),
    [
        ("127.0.0.1:4080", None, True),
        ("localhost", "http://127.0.0.1:4081", True),
        ("[::1]:4080", None, True),
        ("evil.example:4080", None, False),
        ("127.0.0.1:4080", "https://evil.example", False),
        ("127.0.0.1:4080", "null", False),
        ("127.0.0.1.evil.example", None, False),
        ("[", None, False),
        (None, None, False),
    ],
)
def test_a_page_of_others_in_a_browser_here_makes_no_keys(host: str | None, origin: str | None, is_here: bool):
    assert is_asked_from_here(host, origin) is is_here


def test_quotas_and_limits_are_the_last_ones_told():
    access = known(
        e.OwnerQuotaChanged(at=NOON, owner=ANN, quota=Quota(unfinished_batches_max=3), by=KEY),
        e.OwnerQuotaChanged(at=NOON, owner=ANN, quota=Quota(priority_max=5), by=KEY),
        e.LimitsChanged(at=NOON, before=RateLimits(), after=RateLimits(reads_per_minute_max=7), by=KEY),
    )
    assert access.quota(ANN) == Quota(priority_max=5)
    assert access.quota(OwnerId("bob")) == Quota()
    assert access.limits.reads_per_minute_max == 7


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"owner":"a b","name":"n","scopes":["read"]}',
        b'{"owner":"a","name":"","scopes":["read"]}',
        b'{"owner":"a","name":"two\\nlines","scopes":["read"]}',
        b'{"owner":"a","name":"n","scopes":[]}',
        b'{"owner":"a","name":"n","scopes":["root"]}',
        b'{"owner":"a","name":"n","scopes":"read"}',
        b'{"owner":"a","name":"n","scopes":["read"],"expires_at":1}',
        b'{"owner":"a","name":"n","scopes":["read"],"sha256":"x"}',
    ],
)
def test_a_key_that_cannot_be_meant_is_refused(body: bytes):
    with pytest.raises(Refusal):
        parse_key_params(body, NOON)


def test_scopes_may_come_in_any_order_and_twice():
    params = parse_key_params(b'{"owner":"a","name":"n","scopes":["user","read","user"]}', NOON)
    assert params.scopes == (Scope.READ, Scope.USER)


def test_a_rotation_keeps_the_old_key_for_a_day_unless_told_otherwise():
    assert (read_keep_hours(b""), read_keep_hours(b"{}"), read_keep_hours(b'{"keep_old_for_hours":0}')) == (24, 24, 0)
    with pytest.raises(Refusal):
        read_keep_hours(b'{"keep_old_for_hours":169}')
