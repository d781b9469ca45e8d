"""Where the gateway finds what results writes: the names that both sides of PostgreSQL must agree on.

The schema name always means the read model that is served: a rebuilt one is filled beside it under another name, and
then the names are exchanged. Its growing JSONL files are in a folder of their own, which its table `checkpoint` names.
"""

from __future__ import annotations

SCHEMA = "read_model_1"
REBUILT_SCHEMA = f"{SCHEMA}_rebuilt"
"""The next read model, until it is served or replaced."""
REPLACED_SCHEMA = f"{SCHEMA}_replaced"
"""The read model that was served before."""
PAST_SCHEMA = f"{SCHEMA}_past"
"""The state at an earlier moment, for inspection."""
PROJECTED_CHANNEL = "vbatch_projected"
"""NOTIFY channel; the payload is the last projected stream sequence, in decimal."""


def partial_results_path(batch_id: str, folder: str = "") -> str:
    """The path, in the results folder, of a batch's growing JSONL: output lines in the order of recording.

    `folder` comes from `checkpoint` of the same schema; empty means the results folder itself.
    """
    return f"{folder}/{batch_id}.jsonl" if folder else f"{batch_id}.jsonl"
