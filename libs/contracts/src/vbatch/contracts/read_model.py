"""Where the gateway finds what results writes: the one name both sides of PostgreSQL must agree on.

A new shape of the read model is a new schema, filled by replaying the log.
"""

from __future__ import annotations

SCHEMA = "read_model_1"
PROJECTED_CHANNEL = "vbatch_projected"
"""NOTIFY channel; the payload is the last projected stream sequence, in decimal."""


def partial_results_path(batch_id: str) -> str:
    """The growing JSONL of a batch, relative to the results folder: output lines in the order they were recorded."""
    return f"{batch_id}.jsonl"
