"""The keys that all answers have, and what makes them depend on the prompt alone."""

from __future__ import annotations

import hashlib

from vbatch.gpu_runner.simulated.request_body import Body, Json

FINGERPRINT = "simulated"
CREATED = 1_893_456_000
"""A fixed time, so that answers repeat."""


def frame(prefix: str, kind: str, body: Body, prompt: list[str]) -> dict[str, Json]:
    return {
        "id": f"{prefix}-{name_of(prompt)}",
        "object": kind,
        "created": CREATED,
        "model": body.model,
        "system_fingerprint": FINGERPRINT,
    }


def name_of(prompt: list[str]) -> str:
    return digest(" ".join(prompt)).hex()


def digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=12).digest()
