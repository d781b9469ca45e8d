"""Who is logged in. Keys stay in the memory of this process: the cookie only names the session, so that whoever reads
a cookie, on another port of this host too, has no key. A new process knows nobody: visitors log in again."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass

COOKIE = "vbatch_session"
SESSIONS_MAX = 1_000
TOKEN_BYTES = 24


@dataclass(frozen=True, slots=True)
class Session:
    """`token` goes into every form; `agent` is a digest of the browser's name."""

    id: str
    key: str
    owner: str
    token: str
    agent: str
    expires_at: float
    is_admin: bool = False


class Sessions:
    def __init__(self, seconds_max: float) -> None:
        self._seconds_max = seconds_max
        self._sessions: dict[str, Session] = {}
        self.local_token = secrets.token_urlsafe(TOKEN_BYTES)
        """The token of visitors who need no key."""

    def begin(self, key: str, owner: str, agent: str, *, is_admin: bool = False) -> Session:
        """A new session under a new id; the oldest goes when there are too many."""
        if len(self._sessions) >= SESSIONS_MAX:
            self._sessions.pop(next(iter(self._sessions)))
        new_id, token = (secrets.token_urlsafe(TOKEN_BYTES) for _ in range(2))
        ends_at = time.monotonic() + self._seconds_max
        session = Session(new_id, key, owner, token, _digest(agent), ends_at, is_admin)
        self._sessions[new_id] = session
        return session

    def find(self, session_id: str | None, agent: str) -> Session | None:
        """None for one that is over, unknown, or of another browser."""
        session = self._sessions.get(session_id or "")
        if session is None or session.agent != _digest(agent):
            return None
        if time.monotonic() >= session.expires_at:
            del self._sessions[session.id]
            return None
        return session

    def end(self, session: Session) -> None:
        self._sessions.pop(session.id, None)


def is_token(given: str | None, expected: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), expected.encode())


def _digest(agent: str) -> str:
    return hashlib.sha256(agent.encode()).hexdigest()
