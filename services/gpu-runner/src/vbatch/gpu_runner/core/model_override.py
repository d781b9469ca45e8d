"""Puts another model into a request body: every batch of a fan-out runs the same lines, each with its own model."""

from __future__ import annotations

import msgspec

from vbatch.contracts.ids import ModelId

_BODY = msgspec.json.Decoder(dict[str, msgspec.Raw])


def with_model(body: msgspec.Raw, model: ModelId) -> bytes:
    """The body with this `model`; all other values keep their bytes. The body is a JSON object."""
    fields = _BODY.decode(body)
    fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode(fields)
