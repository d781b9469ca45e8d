"""The routes of administrators, over the one connection to the API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import quote

import msgspec

from vbatch.console.core import admin_objects as admin
from vbatch.console.core.api_objects import Runner

T = TypeVar("T")
WEBHOOKS = "/v1/webhook_endpoints"
WEBHOOKS_SHOWN = "100"
"""An owner has no more endpoints than this."""


class Asks(Protocol):
    """Sends one request to the API; see adapters.api."""

    async def get(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> T: ...
    async def send(self, method: str, path: str, kind: type[T], body: bytes | None = None) -> T: ...
    async def send_long(self, method: str, path: str, body: bytes | None = None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class GatewayAdminApi:
    """Implements ports.AdminApi."""

    api: Asks

    async def keys(self) -> admin.KeyList:
        return await self.api.get("/v1/admin/keys", admin.KeyList)

    async def create_key(self, ask: Mapping[str, object]) -> admin.NewKey:
        return await self.api.send("POST", "/v1/admin/keys", admin.NewKey, _json(ask))

    async def rotate_key(self, key_id: str, ask: Mapping[str, object]) -> admin.NewKey:
        return await self.api.send("POST", _key(key_id, "/rotate"), admin.NewKey, _json(ask))

    async def revoke_key(self, key_id: str, reason: str) -> admin.Key:
        path = _key(key_id, f"?reason={quote(reason, safe='')}" if reason else "")
        return await self.api.send("DELETE", path, admin.Key)

    async def owners(self) -> admin.OwnerList:
        return await self.api.get("/v1/admin/owners", admin.OwnerList)

    async def owner(self, owner: str) -> admin.Owner:
        return await self.api.get(_owner(owner), admin.Owner)

    async def set_quota(self, owner: str, ask: Mapping[str, object]) -> admin.Owner:
        return await self.api.send("POST", _owner(owner), admin.Owner, _json(ask))

    async def limits(self) -> admin.Limits:
        return await self.api.get("/v1/admin/limits", admin.Limits)

    async def set_limits(self, ask: Mapping[str, object]) -> admin.Limits:
        return await self.api.send("POST", "/v1/admin/limits", admin.Limits, _json(ask))

    async def audit(self, query: Mapping[str, str]) -> admin.AuditPage:
        return await self.api.get("/v1/admin/audit", admin.AuditPage, query)

    async def webhooks(self) -> admin.WebhookList:
        return await self.api.get(WEBHOOKS, admin.WebhookList, {"limit": WEBHOOKS_SHOWN})

    async def event_types(self) -> admin.EventTypes:
        return await self.api.get("/v1/webhook_event_types", admin.EventTypes)

    async def create_webhook(self, ask: Mapping[str, object]) -> admin.WebhookWithSecret:
        return await self.api.send("POST", WEBHOOKS, admin.WebhookWithSecret, _json(ask))

    async def update_webhook(self, endpoint_id: str, ask: Mapping[str, object]) -> admin.Webhook:
        return await self.api.send("POST", _webhook(endpoint_id), admin.Webhook, _json(ask))

    async def delete_webhook(self, endpoint_id: str) -> None:
        await self.api.send("DELETE", _webhook(endpoint_id), msgspec.Raw)

    async def switch_webhook(self, endpoint_id: str, verb: str) -> admin.Webhook:
        return await self.api.send("POST", _webhook(endpoint_id, f"/{verb}"), admin.Webhook)

    async def rotate_webhook(self, endpoint_id: str, *, keeps_old: bool) -> admin.WebhookWithSecret:
        body = _json({"keep_old_secret_active_for_24_hours": keeps_old})
        return await self.api.send("POST", _webhook(endpoint_id, "/rotate_secret"), admin.WebhookWithSecret, body)

    async def test_webhook(self, endpoint_id: str, event_type: str) -> admin.WebhookTest:
        body = _json({"event_type": event_type})
        return _read(await self.api.send_long("POST", _webhook(endpoint_id, "/test"), body), admin.WebhookTest)

    async def deliveries(self, endpoint_id: str) -> admin.DeliveryList:
        return await self.api.get(_webhook(endpoint_id, "/deliveries"), admin.DeliveryList)

    async def attempts(self, endpoint_id: str, delivery_id: str) -> admin.AttemptList:
        return await self.api.get(_delivery(endpoint_id, delivery_id, "/attempts"), admin.AttemptList)

    async def resend(self, endpoint_id: str, delivery_id: str) -> admin.Delivery:
        return await self.api.send("POST", _delivery(endpoint_id, delivery_id, "/resend"), admin.Delivery)

    async def queue_pause(self) -> admin.QueuePause:
        return await self.api.get("/v1/admin/queue", admin.QueuePause)

    async def pause_queue(self, reason: str) -> admin.QueuePause:
        body = _json({"reason": reason}) if reason else None
        return await self.api.send("POST", "/v1/admin/queue/pause", admin.QueuePause, body)

    async def resume_queue(self) -> admin.QueuePause:
        return await self.api.send("POST", "/v1/admin/queue/resume", admin.QueuePause)

    async def device_memory(self) -> admin.DeviceMemoryList:
        return await self.api.get("/v1/admin/runners/memory", admin.DeviceMemoryList)

    async def steer_runner(self, runner_id: str, verb: str, reason: str) -> Runner:
        body = _json({"reason": reason}) if reason else None
        return await self.api.send("POST", f"/v1/admin/runners/{quote(runner_id, safe='')}/{verb}", Runner, body)

    async def dead_letters(self, query: Mapping[str, str]) -> admin.DeadLetterPage:
        return await self.api.get("/v1/admin/dead_letters", admin.DeadLetterPage, query)

    async def dead_letter(self, letter: str) -> admin.DeadLetterDetail:
        return await self.api.get(_letter(letter), admin.DeadLetterDetail)

    async def retry_dead_letter(self, letter: str) -> None:
        await self.api.send("POST", _letter(letter, "/retry"), msgspec.Raw)

    async def drop_dead_letter(self, letter: str) -> None:
        await self.api.send("DELETE", _letter(letter), msgspec.Raw)

    async def logs(self, query: Mapping[str, str]) -> admin.LogPage:
        return await self.api.get("/v1/admin/logs", admin.LogPage, query)

    async def settings(self) -> admin.SettingsList:
        return await self.api.get("/v1/admin/settings", admin.SettingsList)

    async def changes(self, limit: int) -> admin.ChangeList:
        return await self.api.get("/v1/admin/changes", admin.ChangeList, {"limit": str(limit)})

    async def support_bundle(self) -> bytes:
        return await self.api.send_long("GET", "/v1/admin/support_bundle")


def _json(ask: Mapping[str, object]) -> bytes:
    return json.dumps(ask).encode()


def _read(body: bytes, kind: type[T]) -> T:
    return msgspec.json.decode(body, type=kind)


def _key(key_id: str, rest: str = "") -> str:
    return f"/v1/admin/keys/{quote(key_id, safe='')}{rest}"


def _owner(owner: str) -> str:
    return f"/v1/admin/owners/{quote(owner, safe='')}"


def _webhook(endpoint_id: str, rest: str = "") -> str:
    return f"{WEBHOOKS}/{quote(endpoint_id, safe='')}{rest}"


def _delivery(endpoint_id: str, delivery_id: str, rest: str) -> str:
    return _webhook(endpoint_id, f"/deliveries/{quote(delivery_id, safe='')}{rest}")


def _letter(letter: str, rest: str = "") -> str:
    return f"/v1/admin/dead_letters/{quote(letter, safe='')}{rest}"
