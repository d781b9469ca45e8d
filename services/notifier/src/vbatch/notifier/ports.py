"""What the notifier needs from outside: one HTTP POST, the secrets, the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vbatch.journal.port import Journal
from vbatch.notifier.core.schedule import Answer


class SecretMissing(Exception):
    """The signing secret of an endpoint is lost; only its owner can help, by rotating it."""


class Sender(Protocol):
    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Make one try, bounded in time. Any failure is returned as an answer with a fault."""
        ...


class Secrets(Protocol):
    def read(self, reference: str) -> bytes:
        """Return the secret. Blocks, so call it in a thread. Raises SecretMissing."""
        ...


@dataclass(frozen=True, slots=True)
class Dependencies:
    journal: Journal
    sender: Sender
    secrets: Secrets
    pid: int
    now: Callable[[], datetime]
    on_tried: Callable[[str], None]
    """Called with how each try ended."""
    on_exhausted: Callable[[], None]
    """Called when the tries of a delivery are used up."""
