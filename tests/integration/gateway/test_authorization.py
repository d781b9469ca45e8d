"""Every route of openapi.json against every kind of key. A new route fails here until it names a scope, and until each
name in its path is either an object of one owner or known to belong to nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from starlette.routing import Mount, Route as MountedRoute

from tests.integration.gateway.curated import answered_batch, judge
from tests.integration.gateway.keyed import Keys, bearer, keyed
from tests.integration.gateway.stage import CHAT, LINE, Stage
from tests.integration.gateway.test_runners import RUNNER, leased
from tests.integration.results.stage import Place
from tests.support.events import OWNER
from vbatch.contracts.access import RANKS, Scope
from vbatch.gateway.flows import webhooks
from vbatch.gateway.wiring import create_app
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration

OPERATORS_PAGES = {"/health", "/ready", "/metrics"}
"""Pages without a scope: this machine asks for them without a key (test_service_gate tells what others get)."""
UNDOCUMENTED = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/docs/assets"}
"""Behind the same gate, and not in openapi.json."""
OWNED = {
    "batch_id",
    "evaluation_id",
    "fanout_id",
    "file_id",
    "judgement_id",
    "labeling_id",
    "name",
    "upload_id",
    "webhook_endpoint_id",
}
"""Names in paths that mean an object of one owner; `name` is that of a data set."""
OF_NOBODY = {"delivery_id", "key_id", "letter_id", "line", "model_id", "owner", "runner_id", "version"}
"""Names in paths that are a part of an owned object, or that only administrators or all clients see."""
BODIES: Mapping[tuple[str, str], Any] = {
    ("post", "/v1/batches/{batch_id}"): {"priority": 1},
    ("post", "/v1/files/{file_id}/check"): {"endpoint": CHAT},
    ("post", "/v1/uploads/{upload_id}/complete"): {"part_ids": ["part_1"]},
    ("post", "/v1/webhook_endpoints/{webhook_endpoint_id}"): {"name": "n"},
    ("post", "/v1/webhook_endpoints/{webhook_endpoint_id}/test"): {"event_type": "batch.failed"},
}
"""Where the body is read before the object is looked for."""
QUERIES: Mapping[str, Mapping[str, str]] = {"/v1/batches/{batch_id}/what-if": {"priority": "1"}}
"""Where the query is read before the object is looked for."""
NOTHING_THERE = {
    "/v1/admin/dead_letters/{letter_id}",
    "/v1/admin/dead_letters/{letter_id}/retry",
    "/v1/admin/logs",
    "/v1/batches/{batch_id}/logs",
}
"""This scene has no dead letters and no folder of logs."""
READ_SECONDS = 0.3
"""For how long an answer is read that may never end."""
CHATS = [("What is 2 + 2?", "4"), ("Say hello.", "Hello!")]
AS_OWNER = {"X-Vbatch-Owner": OWNER}
WRONG = {"Authorization": "Bearer sk-vb-00000000_" + "0" * 32}


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    scope: Scope

    @property
    def names(self) -> set[str]:
        """The names in the path."""
        return {part[1:-1] for part in self.path.split("/") if part.startswith("{")}

    @property
    def is_of_one_owner(self) -> bool:
        return bool(self.names & OWNED)

    @property
    def is_removal(self) -> bool:
        """Whether the object is gone once this was answered."""
        return self.method == "delete" or self.path.endswith("/withdraw")

    def is_open_to(self, scope: Scope) -> bool:
        return RANKS[scope] >= RANKS[self.scope]


@dataclass(frozen=True)
class Told:
    """The beginning of the answer; `code` is that of an error."""

    status: int
    code: str | None
    text: str


@dataclass(frozen=True)
class Scene:
    """`ids` are those of real objects of OWNER, by their names in paths."""

    stage: Stage
    keys: Keys
    ids: Mapping[str, str]

    async def ask(self, route: Route, headers: Mapping[str, str]) -> Told:
        form = part_form() if route.path.endswith("/parts") else None
        async with self.stage.session.request(
            route.method,
            self.stage.origin + route.path.format(**self.ids),
            headers=headers,
            params=QUERIES.get(route.path),
            json=BODIES.get((route.method, route.path)),
            data=form,
        ) as response:
            if response.status >= 400:
                error = (await response.json())["error"]
                return Told(response.status, error["code"], error["message"])
            return Told(response.status, None, await beginning(response.content))

    async def routes(self) -> list[Route]:
        """Those with a scope, removals last."""
        paths = (await self.stage.ask("GET", "/openapi.json", headers=bearer(self.keys.read))).json["paths"]
        found = [
            Route(method, path, scope_of(f"{method} {path}", operation))
            for path, operations in paths.items()
            for method, operation in operations.items()
            if path not in OPERATORS_PAGES
        ]
        return sorted(found, key=lambda route: route.is_removal)


def scope_of(route: str, operation: Mapping[str, Any]) -> Scope:
    assert "security" in operation, f"{route} needs no key"
    [requirement] = operation["security"]
    [scopes] = requirement.values()
    assert len(scopes) == 1, f"{route} must need exactly one scope, not {scopes}"
    return Scope(scopes[0])


async def beginning(content: aiohttp.StreamReader) -> str:
    pieces = bytearray()
    with suppress(TimeoutError):
        async with asyncio.timeout(READ_SECONDS):
            async for piece in content.iter_any():
                pieces += piece
    return pieces.decode(errors="replace")


def part_form() -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("data", b"part", filename="part")
    return form


@pytest.fixture(autouse=True)
def impatient_tests_of_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No notifier runs here, so no test of an endpoint is ever answered."""
    monkeypatch.setattr(webhooks, "TEST_SECONDS_MAX", READ_SECONDS)


@asynccontextmanager
async def scene_of_all_objects(place: Place, journal: Journal) -> AsyncIterator[Scene]:
    """One object of each kind, all of them of OWNER."""
    async with keyed(place, journal, owner=OWNER) as (stage, keys):
        stage.parts.admission.failed_keys.per_minute = 0  # another test counts the wrong keys of an address
        yield Scene(stage, keys, await objects_of_owner(stage, keys))


async def objects_of_owner(stage: Stage, keys: Keys) -> Mapping[str, str]:
    client, user = stage.client.with_options(api_key=keys.user.text), bearer(keys.user)
    await leased(stage)
    batch_id = await answered_batch(stage, 1, CHATS)
    judged = await judge(stage, {"batch_id": batch_id, "line": 1, "verdict": "good"}, headers=user)

    async def made(path: str, **fields: Any) -> Any:
        answer = await stage.ask("POST", path, json={"batch_ids": [batch_id], **fields}, headers=user)
        assert answer.status == 200, answer.body
        return answer.json

    file = await client.files.create(file=LINE, purpose="batch")
    fanned_out: Any = await client.batches.create(
        input_file_id=file.id, endpoint=CHAT, completion_window="24h", extra_body={"models": ["plain"]}
    )
    upload = await client.uploads.create(bytes=9, filename="a.jsonl", mime_type="text/jsonl", purpose="batch")
    hook = await client.webhooks.create(name="n", url="https://example.com/", event_types=["batch.failed"])
    return {
        "batch_id": batch_id,
        "delivery_id": "evt_1",
        "evaluation_id": (await made("/v1/evaluations", model="plain", rubric="A warm answer is good."))["id"],
        "fanout_id": fanned_out.fanout_id,
        "file_id": file.id,
        "judgement_id": judged.json["data"][0]["id"],
        "key_id": keys.spare.event.key_id,
        "labeling_id": (await made("/v1/labelings"))["id"],
        "letter_id": "1",
        "line": "1",
        "model_id": "plain",
        "name": (await made("/v1/datasets", name="support"))["name"],
        "owner": OWNER,
        "runner_id": RUNNER,
        "upload_id": upload.id,
        "version": "1",
        "webhook_endpoint_id": hook.id,
    }


async def test_every_route_admits_the_keys_it_should_and_no_other(place: Place, journal: Journal):
    async with scene_of_all_objects(place, journal) as scene:
        routes = await scene.routes()
        assert len(routes) >= 90
        for route in routes:
            await check_strangers(scene, route)
            await check_another_owner(scene, route)
            await check_own_keys(scene, route)


async def check_strangers(scene: Scene, route: Route) -> None:
    keys = scene.keys
    for who, headers, code in (
        ("no key", {}, None),
        ("a wrong key", WRONG, "invalid_api_key"),
        ("a revoked key", bearer(keys.revoked), "invalid_api_key"),
        ("an expired key", bearer(keys.expired), "invalid_api_key"),
    ):
        told = await scene.ask(route, headers)
        assert (told.status, told.code) == (401, code), (who, route)


async def check_another_owner(scene: Scene, route: Route) -> None:
    """An administrator is another owner, too, as long as it does not say for whom it acts."""
    for key in (scene.keys.other, scene.keys.admin):
        told = await scene.ask(route, bearer(key))
        if not route.is_open_to(key.event.scopes[-1]):
            assert (told.status, told.code) == (403, "insufficient_permissions"), (key.event.owner, route)
        elif route.is_of_one_owner:
            assert told.status == 404, (key.event.owner, route, told)
        elif key is scene.keys.other and told.status < 400:
            shown = [name for name in OWNED - {"name"} if scene.ids[name] in told.text]
            assert shown == [], f"{route} shows objects of another owner"


async def check_own_keys(scene: Scene, route: Route) -> None:
    keys = scene.keys
    for key, more in ((keys.read, {}), (keys.user, {}), (keys.admin, AS_OWNER)):
        told = await scene.ask(route, bearer(key) | more)
        if not route.is_open_to(key.event.scopes[-1]):
            assert (told.status, told.code) == (403, "insufficient_permissions"), (key.event.scopes, route)
            continue
        assert told.status != 401 and told.code != "insufficient_permissions", (key.event.scopes, route)
        is_gone = route.is_removal and key is keys.admin
        assert told.status != 404 or is_gone or route.path in NOTHING_THERE, (key.event.scopes, route, told)


async def test_every_name_in_a_path_is_known_to_be_of_one_owner_or_of_nobody(place: Place, journal: Journal):
    async with keyed(place, journal) as (stage, keys):
        for route in await Scene(stage, keys, {}).routes():
            assert route.names <= OWNED | OF_NOBODY, f"{route}: add the name to OWNED or to OF_NOBODY"


async def test_every_route_that_is_served_is_in_the_document_or_behind_the_gate(place: Place, journal: Journal):
    async with keyed(place, journal) as (stage, keys):
        documented = (await stage.ask("GET", "/openapi.json", headers=bearer(keys.read))).json["paths"]
        served = [route for route in create_app(stage.parts).routes if isinstance(route, MountedRoute | Mount)]
        assert {path_of(route) for route in served} - set(documented) == UNDOCUMENTED


def path_of(route: MountedRoute | Mount) -> str:
    return route.path.replace(":path}", "}")


async def test_an_object_of_another_owner_is_not_found_by_its_id_in_a_body_or_query(place: Place, journal: Journal):
    """A batch that names a file of another owner is created and then rejected: tests/unit/scheduler/test_decide."""
    async with scene_of_all_objects(place, journal) as scene:
        batch, file = scene.ids["batch_id"], scene.ids["file_id"]
        other = await answered_batch(scene.stage, 2, CHATS)
        for method, path, fields in (
            ("GET", f"/v1/comparisons?batches={batch},{other}", None),
            ("GET", f"/v1/comparisons/lines?batches={batch},{other}", None),
            ("GET", f"/v1/comparisons/export?batches={batch},{other}", None),
            ("GET", f"/v1/events?batch_id={batch}", None),
            ("GET", f"/v1/judgements/agreement?batch_id={batch}", None),
            ("POST", "/v1/datasets", {"name": "mine", "batch_ids": [batch]}),
            ("POST", "/v1/evaluations", {"batch_ids": [batch], "model": "plain", "rubric": "Be warm."}),
            ("POST", "/v1/judgements", {"judgements": [{"batch_id": batch, "line": 2, "verdict": "bad"}]}),
            ("POST", "/v1/labelings", {"batch_ids": [batch]}),
        ):
            stranger, owner = [
                (await scene.stage.ask(method, path, json=fields, headers=bearer(key))).status
                for key in (scene.keys.other, scene.keys.user)
            ]
            assert (stranger, owner) == (404, 200), path
        judged = await scene.stage.ask("GET", f"/v1/judgements?batch_id={batch}", headers=bearer(scene.keys.other))
        assert judged.json["data"] == []
        dry = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h", "dry_run": {}}
        assert (await scene.stage.ask("POST", "/v1/batches", json=dry, headers=bearer(scene.keys.other))).status == 404
