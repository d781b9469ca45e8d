"""The signature of Standard Webhooks, as the official client verifies it.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

USER_AGENT = "vllm-batch-server"
VERSION = "v1"


def headers(delivery_id: str, timestamp: int, body: str, secrets: Sequence[bytes]) -> dict[str, str]:
    """The headers of one try; `timestamp` is this try's, in Unix seconds. A receiver accepts any of the signatures."""
    signatures = [f"{VERSION},{_signature(secret, f'{delivery_id}.{timestamp}.{body}')}" for secret in secrets]
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def _signature(secret: bytes, signed: str) -> str:
    return base64.b64encode(hmac.new(secret, signed.encode(), hashlib.sha256).digest()).decode()
