"""A chunk without the answers of a file that was deleted or has expired. What remains is what rows are made of: lines,
ids, status codes, usage, and the length of each answer. A placeholder of that length replaces the answer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.answers import stand_in
from vbatch.contracts.catalogue import BY_TYPE
from vbatch.contracts.codec import CE_TYPE, Unreadable, decode
from vbatch.contracts.lines import single_line
from vbatch.contracts.message import Recorded
from vbatch.results.core.sealing import kind_of

STAND_IN_BYTES_MIN = 2


def without_answers(record: Recorded, erased: Collection[str]) -> Recorded:
    """A chunk as an archive keeps it once these files (`output`, `error`) are gone. An unreadable chunk keeps
    nothing."""
    try:
        chunk = decode(record)
    except Unreadable:
        return replace(record, body=b"")
    if not isinstance(chunk, e.ChunkCompleted):
        return record
    outcomes = tuple(_without_answer(outcome, erased) for outcome in chunk.outcomes)
    headers = {**record.headers, CE_TYPE: BY_TYPE[e.ChunkCompleted].ce_type}
    return replace(record, headers=headers, body=msgspec.json.encode(msgspec.structs.replace(chunk, outcomes=outcomes)))


def _without_answer(outcome: e.Outcome, erased: Collection[str]) -> e.Outcome:
    size = len(single_line(bytes(outcome.body)))
    if kind_of(outcome.status_code) not in erased or outcome.body == e.NO_ANSWER or size < STAND_IN_BYTES_MIN:
        return outcome
    return msgspec.structs.replace(outcome, body=msgspec.Raw(stand_in(size)))
