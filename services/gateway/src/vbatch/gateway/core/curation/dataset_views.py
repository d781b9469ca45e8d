"""Data sets as the API shows them, and the card that describes the content of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from pydantic import BaseModel, JsonValue

from vbatch.contracts.curation import Count
from vbatch.gateway.core.curation.datasets import DatasetRecord


class DatasetObject(BaseModel):
    """One version of a data set; it never changes. `sha256` is that of its lines in the format `raw`."""

    id: str
    object: Literal["dataset.version"] = "dataset.version"
    name: str
    version: int
    made_by: str
    at_sequence: int
    selection: dict[str, JsonValue]
    statistics: dict[str, JsonValue]
    bytes: int
    sha256: str
    created_at: int


class DatasetList(BaseModel):
    """By name, newest version first."""

    object: Literal["list"] = "list"
    data: list[DatasetObject]


class DatasetDeletedObject(BaseModel):
    id: str
    object: Literal["dataset.version"] = "dataset.version"
    deleted: Literal[True] = True


def dataset_view(record: DatasetRecord) -> DatasetObject:
    return DatasetObject(
        id=f"{record.name}:{record.version}",
        name=record.name,
        version=record.version,
        made_by=record.made_by,
        at_sequence=record.log_sequence,
        selection=_json(record.selection),
        statistics=_json(record.statistics),
        bytes=record.bytes,
        sha256=record.sha256,
        created_at=int(record.created_at.timestamp()),
    )


def card(record: DatasetRecord) -> str:
    """Return a README.md: what is in the version, where it comes from, and how it was split."""
    found, chosen = record.statistics, record.selection
    agreement = "too few answers have several judges" if found.agreement is None else f"{found.agreement:.2f}"
    facts = [
        ("Version", f"{record.version}, made {record.created_at:%Y-%m-%d %H:%M} UTC by {record.made_by}"),
        ("Answers", f"{found.answers:,}: {found.good:,} good, {found.bad:,} bad, {found.edited:,} of them edited"),
        ("Pairs", f"{found.pairs:,}"),
        ("Judges", _listed(found.judges)),
        ("Agreement (Krippendorff's alpha)", agreement),
        ("Models", _listed(found.models)),
        ("Splits", _listed(found.splits)),
        ("Left out", _listed(found.left_out)),
        ("Batches", ", ".join(f"`{batch_id}`" for batch_id in chosen.batch_ids)),
        ("Judgements up to", f"sequence {record.log_sequence:,} of the event log"),
        ("SHA-256 of the examples", f"`{record.sha256}`"),
    ]
    rows = [f"| {name} | {value} |" for name, value in facts]
    return "\n".join([f"# {record.name}", "", "| | |", "|---|---|", *rows, "", _splitting(record), ""])


def _json(value: msgspec.Struct) -> dict[str, JsonValue]:
    """Return the value as it is in the log."""
    decoded: dict[str, JsonValue] = msgspec.json.decode(msgspec.json.encode(value))
    return decoded


def _splitting(record: DatasetRecord) -> str:
    found, chosen = record.statistics, record.selection
    examples = found.answers + found.pairs
    words = (
        f"Prompts whose words overlap by {chosen.near_duplicate:.0%} or more are near-duplicates and share a split "
        "(Jaccard similarity of runs of three words, estimated by MinHash): "
        f"{found.prompt_groups:,} groups, the largest of {found.largest_group:,} examples. "
        f"The seed of the split is {chosen.seed}."
    )
    if found.largest_group * 2 > examples > 1:
        words += " More than half of the examples are near-duplicates of each other, so the split is uneven."
    return words


def _listed(counts: Sequence[Count]) -> str:
    return ", ".join(f"{count.name} ({count.count:,})" for count in counts) or "none"
