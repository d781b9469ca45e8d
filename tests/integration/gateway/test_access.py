"""Keys, quotas and limits that change while gateways run."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any

import openai
import pytest

from tests.integration.gateway.keyed import Keys, all_keys, bearer, keyed
from tests.integration.gateway.stage import CHAT, LINE, Answer, Stage, client_of, gateway_running, stage_set
from tests.integration.results.stage import Place, eventually, tell
from vbatch.contracts.access import Scope
from vbatch.contracts.audit import ACTOR_HEADER, ADDRESS_HEADER
from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.api_keys import ApiKeys
from vbatch.gateway.core.keys import KeyParams
from vbatch.gateway.flows.bootstrap import AdminKeyExists, init_keys
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration

REVOKED_SECONDS_MAX = 2.0


async def test_an_admin_acts_for_an_owner_by_name_and_nobody_else_does(place: Place, journal: Journal):
    async with keyed(place, journal) as (stage, keys):
        ann = stage.client.with_options(api_key=keys.user.text)
        batch = await ann.batches.create(input_file_id="file-x", endpoint=CHAT, completion_window="24h")
        path, as_ann = f"/v1/batches/{batch.id}", {"X-Vbatch-Owner": "ann"}
        assert (await stage.ask("GET", path, headers=bearer(keys.admin))).status == 404
        assert (await stage.ask("GET", path, headers=bearer(keys.admin) | as_ann)).status == 200
        assert (await stage.ask("GET", path, headers=bearer(keys.other) | as_ann)).status == 403
        assert (await stage.ask("GET", path, headers=bearer(keys.admin) | {"X-Vbatch-Owner": "a b"})).status == 400


async def test_a_key_made_here_works_at_once_and_there_within_two_seconds(place: Place, journal: Journal):
    async with keyed(place, journal) as (here, keys), gateway_running(place, journal) as there:
        ask = {"owner": "eve", "name": "notebook", "scopes": ["user"]}
        made_here = (await here.ask("POST", "/v1/admin/keys", json=ask, headers=bearer(keys.admin))).json
        key = {"Authorization": f"Bearer {made_here['key']}"}
        assert (await here.ask("GET", "/v1/me", headers=key)).json["owner"] == "eve"
        assert await seconds_until(there, key, 200) < REVOKED_SECONDS_MAX

        path = f"/v1/admin/keys/{made_here['id']}"
        revoked = (await here.ask("DELETE", f"{path}?reason=lost", headers=bearer(keys.admin))).json
        assert revoked["revoked_at"] is not None and "key" not in revoked
        assert (await here.ask("GET", "/v1/me", headers=key)).error["code"] == "invalid_api_key"
        assert await seconds_until(there, key, 401) < REVOKED_SECONDS_MAX
        listed = (await there.ask("GET", "/v1/admin/keys?owner=eve", headers=bearer(keys.admin))).json["data"]
        assert [(each["id"], each["hint"], each["last_used_at"] is None) for each in listed] == [
            (made_here["id"], made_here["key"][-4:], False)
        ]


async def seconds_until(stage: Stage, key: dict[str, str], status: int) -> float:
    """How long it takes until the key is answered so."""

    async def is_so() -> bool:
        return (await stage.ask("GET", "/v1/me", headers=key)).status == status

    began = monotonic()
    await eventually(is_so)
    return monotonic() - began


async def test_an_open_stream_ends_with_its_key(place: Place, journal: Journal):
    async with keyed(place, journal) as (stage, keys):
        ann = stage.client.with_options(api_key=keys.user.text)
        batch = await ann.batches.create(input_file_id="file-x", endpoint=CHAT, completion_window="24h")
        url = f"{stage.origin}/v1/batches/{batch.id}/events"
        async with stage.session.get(url, headers=bearer(keys.read)) as response:
            assert b"batch.created" in await response.content.readuntil(b"data:")
            path = f"/v1/admin/keys/{keys.read.event.key_id}"
            await stage.ask("DELETE", path, headers=bearer(keys.admin))
            async with asyncio.timeout(REVOKED_SECONDS_MAX):
                await response.content.read()


async def test_a_rotated_key_and_its_successor_both_open_until_the_end_of_the_old_one(place: Place, journal: Journal):
    async with keyed(place, journal) as (stage, keys):
        rotate = f"/v1/admin/keys/{keys.user.event.key_id}/rotate"
        new = (await stage.ask("POST", rotate, headers=bearer(keys.admin))).json
        successor = {"Authorization": f"Bearer {new['key']}"}
        assert (new["owner"], new["scopes"], new["name"]) == ("ann", ["user"], "ann user")
        assert [(await stage.ask("GET", "/v1/me", headers=h)).status for h in (bearer(keys.user), successor)] == [
            200
        ] * 2

        at_once = f"/v1/admin/keys/{new['id']}/rotate"
        await stage.ask("POST", at_once, json={"keep_old_for_hours": 0}, headers=bearer(keys.admin))
        assert (await stage.ask("GET", "/v1/me", headers=successor)).status == 401
        again = await stage.ask("POST", at_once, headers=bearer(keys.admin))
        assert (again.status, again.headers["x-should-retry"]) == (409, "false")


async def test_a_gateway_that_starts_later_reads_the_same_keys_quotas_and_limits(place: Place, journal: Journal):
    async with keyed(place, journal) as (here, keys):
        admin = bearer(keys.admin)
        await here.ask("POST", f"/v1/admin/keys/{keys.user.event.key_id}/rotate", headers=admin)
        await here.ask("DELETE", f"/v1/admin/keys/{keys.spare.event.key_id}", headers=admin)
        await here.ask("POST", "/v1/admin/limits", json={"reads_per_minute_max": 10_000}, headers=admin)
        await set_quota(here, keys, priority_max=5)
        known = here.parts.access
        assert (len(known.keys), known.limits.reads_per_minute_max, len(known.quotas())) == (8, 10_000, 1)
        async with gateway_running(place, journal) as there:
            assert there.parts.access == known


async def test_keys_are_verified_while_the_read_model_is_away(place: Place, journal: Journal):
    away = replace(place, postgres_url="postgresql://nobody@127.0.0.1:9/none")
    keys = all_keys()
    await tell(journal, keys.events())
    async with gateway_running(away, journal) as stage:
        me = await stage.ask("GET", "/v1/me", headers=bearer(keys.read))
        assert (me.status, me.json["owner"], me.json["scopes"], me.json["usage"]) == (200, "ann", ["read"], None)
        assert (await stage.ask("GET", "/v1/me", headers=bearer(keys.revoked))).status == 401
        ask = {"owner": "eve", "name": "n", "scopes": ["read"]}
        assert (await stage.ask("POST", "/v1/admin/keys", json=ask, headers=bearer(keys.admin))).status == 200


async def test_a_server_that_others_reach_admits_nobody_until_a_key_is_made(place: Place, journal: Journal):
    async with gateway_running(place, journal, host="0.0.0.0") as stage:
        closed = await stage.ask("GET", "/v1/me", headers={"Authorization": "Bearer any"})
        assert closed.status == 401 and "vbatch keys init" in closed.error["message"]
        ask = KeyParams(OwnerId("root"), "first", (Scope.ADMIN,))
        begun = await init_keys(journal.log, ApiKeys({}), ask, now=datetime.now(UTC), entropy=bytes(32))
        assert await seconds_until(stage, bearer(begun.made), 200) < REVOKED_SECONDS_MAX


async def test_the_first_admin_key_takes_the_key_file_over(place: Place, journal: Journal):
    digest = hashlib.sha256(b"of old").hexdigest()
    file_keys = ApiKeys({digest: OwnerId("ann")})
    old = {"Authorization": "Bearer of old"}
    async with gateway_running(place, journal, keys=file_keys) as stage:
        assert (await stage.ask("GET", "/v1/me", headers=old)).json["owner"] == "ann"
        assert (await stage.ask("GET", "/v1/admin/keys", headers=old)).status == 403
        ask = KeyParams(OwnerId("root"), "first", (Scope.ADMIN,))
        begun = await init_keys(journal.log, file_keys, ask, now=datetime.now(UTC), entropy=bytes(32))
        assert begun.imported_count == 1
        assert await seconds_until(stage, bearer(begun.made), 200) < REVOKED_SECONDS_MAX
        assert (await stage.ask("GET", "/v1/me", headers=old)).json["owner"] == "ann"
        with pytest.raises(AdminKeyExists):
            await init_keys(journal.log, file_keys, ask, now=datetime.now(UTC), entropy=bytes(31) + b"1")
        lost: dict[str, Any] = {"now": datetime.now(UTC), "entropy": bytes(31) + b"1", "is_again": True}
        assert (await init_keys(journal.log, file_keys, ask, **lost)).imported_count == 0
    async with gateway_running(place, journal, keys=ApiKeys({"ab" * 32: OwnerId("eve")})) as stage:
        assert (await stage.ask("GET", "/v1/me", headers=old)).status == 200


async def test_wrong_keys_from_one_address_are_soon_no_longer_looked_at(place: Place, journal: Journal):
    async with keyed(place, journal) as (stage, keys):
        wrong = [await stage.ask("GET", "/v1/me", headers={"Authorization": f"Bearer w{n}"}) for n in range(22)]
        assert [answer.status for answer in wrong] == [401] * 20 + [429] * 2
        assert 0 < int(wrong[-1].headers["Retry-After"]) <= 3
        assert (await stage.ask("GET", "/v1/me", headers=bearer(keys.read))).status == 200


async def test_a_limit_changes_under_running_gateways_and_what_is_pinned_stays(place: Place, journal: Journal):
    async with (
        keyed(place, journal, creates_per_minute_max=50) as (here, keys),
        gateway_running(place, journal) as there,
    ):
        admin = bearer(keys.admin)
        pinned = await here.ask("POST", "/v1/admin/limits", json={"creates_per_minute_max": 1}, headers=admin)
        assert (pinned.status, pinned.error["param"]) == (409, "creates_per_minute_max")
        told = await here.ask("POST", "/v1/admin/limits", json={"reads_per_minute_max": 3}, headers=admin)
        assert (told.json["reads_per_minute_max"], told.json["pinned"]) == (3, ["creates_per_minute_max"])
        for stage in (here, there):
            await eventually(partial(is_limited, stage, keys))
            answers = [await stage.ask("GET", "/v1/models", headers=bearer(keys.read)) for _ in range(4)]
            assert answers[-1].status == 429
            assert answers[-1].headers["x-ratelimit-limit-requests"] == "3"
            assert int(answers[-1].headers["Retry-After"]) >= 1
        await there.ask("POST", "/v1/admin/limits", json={"reads_per_minute_max": 0}, headers=admin)
        free = await there.ask("GET", "/v1/models", headers=bearer(keys.read))
        assert free.status == 200 and "x-ratelimit-limit-requests" not in free.headers


async def is_limited(stage: Stage, keys: Keys) -> bool:
    answer = await stage.ask("GET", "/v1/me", headers=bearer(keys.read))
    return "x-ratelimit-limit-requests" in answer.headers


async def test_bytes_are_charged_when_they_have_come(place: Place, journal: Journal):
    async with stage_set(place, journal, bytes_per_minute_max=4_000) as stage:
        first = await stage.client.files.create(file=LINE * 60, purpose="batch")
        assert first.bytes > 4_000
        with pytest.raises(openai.RateLimitError) as refused:
            await stage.client.files.create(file=LINE, purpose="batch")
    headers = refused.value.response.headers
    assert (headers["x-ratelimit-limit-bytes"], headers["x-ratelimit-remaining-bytes"]) == ("4000", "0")
    assert int(headers["retry-after"]) > 1


async def set_quota(stage: Stage, keys: Keys, **quota: int) -> Answer:
    return await stage.ask("POST", "/v1/admin/owners/ann", json=quota, headers=bearer(keys.admin))


async def test_a_quota_holds_an_owner_and_nobody_else(place: Place, journal: Journal):
    async with keyed(place, journal) as (stage, keys):
        ann, bob = (stage.client.with_options(api_key=key.text) for key in (keys.user, keys.other))
        ask: dict[str, Any] = {"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h"}
        first = await ann.batches.create(**ask, extra_headers={"Idempotency-Key": "k"})
        told = await set_quota(stage, keys, unfinished_batches_max=1, priority_max=5)
        assert told.json["usage"]["unfinished_batches"] == 1

        with pytest.raises(openai.RateLimitError) as refused:
            await ann.batches.create(**ask)
        assert (refused.value.code, refused.value.response.headers["x-should-retry"]) == ("quota_exceeded", "false")
        assert (await ann.batches.create(**ask, extra_headers={"Idempotency-Key": "k"})).id == first.id
        await bob.batches.create(**ask)

        with pytest.raises(openai.RateLimitError, match="highest priority is 5"):
            await ann.batches.create(**ask, extra_body={"priority": 6})
        path = f"/v1/batches/{first.id}"
        raised = await stage.ask("POST", path, json={"priority": 6}, headers=bearer(keys.user))
        assert (raised.status, raised.error["param"]) == (429, "priority")

        await set_quota(stage, keys)
        await ann.batches.create(**ask)


async def test_stored_bytes_are_held_on_every_way_in(place: Place, journal: Journal):
    async with keyed(place, journal) as (stage, keys):
        ann = stage.client.with_options(api_key=keys.user.text)
        kept = await ann.files.create(file=LINE * 10, purpose="batch")
        await set_quota(stage, keys, stored_bytes_max=len(LINE) * 12)
        blobs = len(stage.stored_blobs())
        with pytest.raises(openai.RateLimitError, match="Delete files first"):
            await ann.files.create(file=LINE * 3, purpose="batch")
        with pytest.raises(openai.RateLimitError, match="bytes are stored"):
            await ann.uploads.create(bytes=len(LINE) * 3, filename="a.jsonl", mime_type="text/jsonl", purpose="batch")
        unannounced = await stage.session.post(
            f"{stage.origin}/v1/files",
            data=_form(LINE * 3),
            chunked=True,
            headers=bearer(keys.user) | {"Content-Type": "multipart/form-data; boundary=b"},
        )
        assert (unannounced.status, len(stage.stored_blobs())) == (429, blobs)
        await ann.files.delete(kept.id)
        await ann.files.create(file=LINE * 3, purpose="batch")


async def _form(content: bytes) -> AsyncIterator[bytes]:
    """A form that comes without its length."""
    yield b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    yield content
    yield b"\r\n--b--\r\n"


async def test_what_is_written_tells_whose_key_did_it_and_from_where(place: Place, journal: Journal):
    async with keyed(place, journal) as (stage, keys):
        async with client_of(stage.origin, keys.user.text) as ann:
            batch = await ann.batches.create(input_file_id="file-x", endpoint=CHAT, completion_window="24h")
        record = await journal.log.last(f"evt.batch.{batch.id}.created")
        assert record is not None
        assert record.headers[ACTOR_HEADER] == keys.user.event.key_id
        assert record.headers[ADDRESS_HEADER] == "127.0.0.1"
        assert keys.user.text not in str(record.headers) + record.body.decode()


async def test_an_admin_reads_who_did_what_page_by_page(place: Place, journal: Journal):
    async with keyed(place, journal) as (stage, keys):
        ann, admin = stage.client.with_options(api_key=keys.user.text), bearer(keys.admin)
        batch = await ann.batches.create(input_file_id="file-x", endpoint=CHAT, completion_window="24h")
        await ann.batches.cancel(batch.id)
        await stage.ask("POST", "/v1/admin/limits", json={"reads_per_minute_max": 10_000}, headers=admin)

        path = f"/v1/admin/audit?object_id={batch.id}"
        told = (await stage.ask("GET", path, headers=admin)).json
        did = [(each["actor"], each["address"], each["action"]) for each in told["data"]]
        key_id = keys.user.event.key_id
        assert did == [(key_id, "127.0.0.1", "batch.created"), (key_id, "127.0.0.1", "batch.cancel_requested")]

        first = (await stage.ask("GET", f"{path}&limit=1", headers=admin)).json
        rest = (await stage.ask("GET", f"{path}&after={first['last_id']}", headers=admin)).json
        assert ([first["has_more"], rest["has_more"]], first["data"] + rest["data"]) == ([True, False], told["data"])

        by_admin = f"/v1/admin/audit?actor={keys.admin.event.key_id}"
        actions = [each["action"] for each in (await stage.ask("GET", by_admin, headers=admin)).json["data"]]
        assert actions == ["limits.changed"]


async def test_without_keys_a_page_of_others_cannot_make_the_first_one(lonely_stage: Stage):
    ask = {"owner": "evil", "name": "n", "scopes": ["admin"]}
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        refused = await lonely_stage.ask("POST", "/v1/admin/keys", json=ask, headers=headers)
        assert (refused.status, refused.error["code"]) == (403, "insufficient_permissions")
    made = await lonely_stage.ask("POST", "/v1/admin/keys", json=ask | {"owner": "me"})
    assert made.status == 200
    assert (await lonely_stage.ask("GET", "/v1/me")).status == 401
