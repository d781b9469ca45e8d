"""No webhook is lost and none is told under two ids, whatever is killed, cut off or taken for dead."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from tests.simulation.patching import replaced
from tests.simulation.webhooks import Outcome, WebhookRun
from vbatch.journal.port import Lease
from vbatch.notifier.core.state import Delivery
from vbatch.notifier.flows.delivering import Delivering

SEEDS = range(1, 21)

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def outcomes() -> dict[int, Outcome]:
    return {seed: WebhookRun(seed).result() for seed in SEEDS}


def test_every_delivery_is_made_under_every_seed(outcomes: dict[int, Outcome]):
    assert {seed: str(each.violation) for seed, each in outcomes.items() if each.violation} == {}


def test_the_weather_is_bad_enough(outcomes: dict[int, Outcome]):
    deliveries, posts = (sum(getattr(each, name) for each in outcomes.values()) for name in ("deliveries", "posts"))
    assert sum(each.lives for each in outcomes.values()) > 5 * len(SEEDS)
    assert posts > 1.2 * deliveries > 100


def caught() -> str | None:
    """The first promise that a seed sees broken."""
    found = (WebhookRun(seed).result().violation for seed in SEEDS)
    return next((violation.check for violation in found if violation is not None), None)


def test_a_zombie_that_is_not_fenced_is_caught():
    with replaced(Lease, "guard", lambda _lease: None):
        assert caught() in {"a_zombie_records_nothing", "one_delivery_of_each_event", "every_delivery_ends"}


def test_bytes_that_are_made_again_at_each_try_are_caught():
    post = Delivering._post

    async def makes_again(self: Delivering, endpoint: Any, delivery: Delivery) -> Any:
        queued = msgspec.structs.replace(delivery.queued, body=f"{delivery.queued.body} {delivery.attempts}")
        return await post(self, endpoint, replace(delivery, queued=queued))

    with replaced(Delivering, "_post", makes_again):
        assert caught() == "one_payload_for_ever"
