"""Where the gateway finds what results writes: the one name both sides of PostgreSQL must agree on.

The name always means the one that is served: a rebuilt read model is filled beside it under another name, and the
names are exchanged. Its growing JSONL stand in a folder of their own, which its table `checkpoint` names.
"""

from __future__ import annotations

SCHEMA = "read_model_1"
REBUILT_SCHEMA = f"{SCHEMA}_rebuilt"
"""The next one, until it is served or replaced."""
REPLACED_SCHEMA = f"{SCHEMA}_replaced"
"""The one that was served before."""
PAST_SCHEMA = f"{SCHEMA}_past"
"""The state of an earlier moment, to be looked at."""
PROJECTED_CHANNEL = "vbatch_projected"
"""NOTIFY channel; the payload is the last projected stream sequence, in decimal."""


def partial_results_path(batch_id: str, folder: str = "") -> str:
    """The growing JSONL of a batch, relative to the results folder: output lines in the order they were recorded.

    `folder` is what `checkpoint` of the same schema says; empty is the results folder itself.
    """
    return f"{folder}/{batch_id}.jsonl" if folder else f"{batch_id}.jsonl"
