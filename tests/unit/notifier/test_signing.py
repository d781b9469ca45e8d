"""What is signed here is taken by both verifiers that receivers use, and nothing else is."""

from __future__ import annotations

import json
import time

import pytest
from openai import InvalidWebhookSignatureError, OpenAI
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.support.events import BATCH, DELIVERY
from vbatch.gateway.core.webhooks import secret_text
from vbatch.notifier.core.payloads import body_of
from vbatch.notifier.core.signing import headers

SECRET, OTHER = bytes(range(32)), bytes(32)
CLIENT = OpenAI(api_key="none", base_url="http://127.0.0.1:9/v1")


def body() -> str:
    return body_of(DELIVERY, "batch.completed", BATCH, 1_700_000_000)


def test_the_body_is_openais_to_the_key():
    assert body() == (
        f'{{"id":"{DELIVERY}","object":"event","created_at":1700000000,"type":"batch.completed",'
        f'"data":{{"id":"{BATCH}"}}}}'
    )


def test_both_verifiers_take_it():
    signed = headers(DELIVERY, int(time.time()), body(), [SECRET])
    event = CLIENT.webhooks.unwrap(body(), signed, secret=secret_text(SECRET))
    assert (event.id, event.type, event.data.id) == (DELIVERY, "batch.completed", BATCH)  # type: ignore[union-attr]
    assert Webhook(secret_text(SECRET)).verify(body(), signed) == json.loads(body())


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_during_a_rotation_either_secret_verifies(secret: bytes):
    signed = headers(DELIVERY, int(time.time()), body(), [SECRET, OTHER])
    CLIENT.webhooks.verify_signature(body(), signed, secret=secret_text(secret))
    Webhook(secret_text(secret)).verify(body(), signed)


@pytest.mark.parametrize("changed", ["body", "id", "time", "secret", "stale"])
def test_what_was_tampered_with_is_refused_by_both(changed: str):
    age = 400 if changed == "stale" else 0
    signed = headers(DELIVERY, int(time.time()) - age, body(), [OTHER if changed == "secret" else SECRET])
    text = body().replace("completed", "failed") if changed == "body" else body()
    signed |= {"webhook-id": "evt_x"} if changed == "id" else {}
    signed |= {"webhook-timestamp": str(int(time.time()) - 1)} if changed == "time" else {}
    with pytest.raises(InvalidWebhookSignatureError):
        CLIENT.webhooks.verify_signature(text, signed, secret=secret_text(SECRET))
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_text(SECRET)).verify(text, signed)
