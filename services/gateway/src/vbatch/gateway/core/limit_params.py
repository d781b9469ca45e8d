"""Changing the rate limits of all keys while the server runs."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from vbatch.contracts.access import RateLimits
from vbatch.gateway.core.quotas import AMOUNT_MAX
from vbatch.gateway.core.rate_limits import Limited
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.core.shapes import integer, integer_between, json_object


def read_limits(raw: bytes, before: RateLimits, pinned: Collection[Limited]) -> RateLimits:
    """Return the limits after the request, which names those it changes. Raises Refusal."""
    body = json_object(raw, required=(), optional=RateLimits.__struct_fields__)
    for name in body:
        if Limited(name) in pinned:
            words = f"'{name}' is set in the settings of this server, where it stays: VBATCH_GATEWAY_{name.upper()}."
            raise Refusal(Reason.PINNED, words, name)
    changes = {name: integer_between(integer(value, name), name, 0, AMOUNT_MAX) for name, value in body.items()}
    return msgspec.structs.replace(before, **changes)
