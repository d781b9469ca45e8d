"""The two forms of an event outside the code: a message to append, and a record in the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

MESSAGE_ID_HEADER = "Nats-Msg-Id"


@dataclass(frozen=True, slots=True)
class Message:
    """A message to append. `message_id` is deterministic: the same event appended twice is stored once."""

    subject: str
    body: bytes
    message_id: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record in the log at `sequence`; `recorded_at` is the server's clock, aware UTC."""

    sequence: int
    subject: str
    headers: Mapping[str, str]
    body: bytes
    recorded_at: datetime

    @property
    def message_id(self) -> str:
        return self.headers.get(MESSAGE_ID_HEADER, "")
