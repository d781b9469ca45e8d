"""The pause of all work: folded from the log, parsed from requests, and shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from vbatch.contracts import events as e
from vbatch.gateway.core.keys import REASON_CHARS_MAX
from vbatch.gateway.core.shapes import bounded_string, json_object, string


@dataclass
class QueuePause:
    """`paused_at` is None while work may run."""

    paused_at: datetime | None = None
    by: str = ""
    reason: str = ""

    def evolve(self, event: e.AnyEvent) -> None:
        """Fold one event; events about other subjects change nothing. The first pause counts until work is resumed."""
        match event:
            case e.QueuePaused() if self.paused_at is None:
                self.paused_at, self.by, self.reason = event.at, event.by, event.reason
            case e.QueueResumed():
                self.paused_at, self.by, self.reason = None, "", ""
            case _:
                pass


class QueuePauseObject(BaseModel):
    """`paused_at` is null while work may run."""

    object: Literal["queue.pause"] = "queue.pause"
    paused_at: int | None
    by: str | None
    reason: str | None


def queue_pause_view(pause: QueuePause) -> QueuePauseObject:
    if pause.paused_at is None:
        return QueuePauseObject(paused_at=None, by=None, reason=None)
    return QueuePauseObject(paused_at=int(pause.paused_at.timestamp()), by=pause.by, reason=pause.reason or None)


def read_pause_reason(raw: bytes) -> str:
    """Return the reason for pausing all work; the body may be empty. Raises Refusal."""
    reason = json_object(raw, required=(), optional=("reason",)).get("reason") if raw else None
    return bounded_string(string(reason, "reason"), "reason", REASON_CHARS_MAX) if reason is not None else ""
