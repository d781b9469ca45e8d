"""Judgements as the read model has them, in few words."""

from __future__ import annotations

from typing import Any

from tests.support.events import BATCH, NOON
from vbatch.contracts.curation import JudgementSource, Selection, Vote
from vbatch.contracts.ids import BatchId, JudgementId
from vbatch.gateway.core.curation.judgements import JudgementRecord

EVERYTHING = Selection(batch_ids=(BATCH,))
OTHER_BATCH = BatchId("batch_ffffffffffffffffffffffffffffffff")


def said(sequence: int, line: int, judge: str = "anna", **what: Any) -> JudgementRecord:
    plain: dict[str, Any] = {
        "id": JudgementId(f"judgement_{sequence:032x}"),
        "batch_id": BATCH,
        "other_batch_id": None,
        "other_line": None,
        "vote": None,
        "source": JudgementSource.API,
        "verdict": None,
        "score": None,
        "tags": (),
        "note": "",
        "edited": None,
        "seconds": None,
        "reference": "",
        "created_at": NOON,
    }
    return JudgementRecord(**plain | {"sequence": sequence, "line": line, "judge": judge} | what)


def compared(
    sequence: int, line: int, vote: Vote, other_line: int, judge: str = "anna", **what: Any
) -> JudgementRecord:
    return said(sequence, line, judge, **{"other_batch_id": BATCH, "other_line": other_line, "vote": vote} | what)
