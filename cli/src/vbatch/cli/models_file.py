"""Changes one entry of the models file and leaves everything else, comments included, unchanged."""

from __future__ import annotations

import stat
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import tomlkit

from vbatch.chassis.files import write_atomically
from vbatch.contracts.ids import ModelId
from vbatch.gpu_runner.core.tuning import Profile


def write_profile(path: Path, model: ModelId, profile: Profile) -> None:
    """Replace the whole file at once, or leave it unchanged."""
    text: Any = tomlkit.parse(path.read_text())
    _change(next(entry for entry in text["model"] if entry["id"] == model), profile)
    write_atomically(path, tomlkit.dumps(text).encode(), mode=stat.S_IMODE(path.stat().st_mode))


def _change(entry: MutableMapping[str, Any], profile: Profile) -> None:
    if profile.is_of_cpu:
        entry.setdefault("cpu", tomlkit.table())["arguments"] = _inline(profile)
    else:
        entry["max_num_seqs"] = profile.max_num_seqs
        entry["arguments"] = _inline(profile)


def _inline(profile: Profile) -> tomlkit.items.InlineTable:
    table = tomlkit.inline_table()
    table.update(dict(profile.arguments))
    return table
