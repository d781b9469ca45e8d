"""The sessions of logged-in visitors. Keys stay in the memory of this process: the cookie only names the session, so
reading a cookie, for example from another port of this host, reveals no key. After a restart visitors log in again."""

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
        """The token of visitors if no key is required."""

    def begin(self, key: str, owner: str, agent: str, *, is_admin: bool = False) -> Session:
        """Begin a session under a new id; the oldest one is dropped when there are too many."""
        if len(self._sessions) >= SESSIONS_MAX:
            self._sessions.pop(next(iter(self._sessions)))
        new_id, token = (secrets.token_urlsafe(TOKEN_BYTES) for _ in range(2))
        ends_at = time.monotonic() + self._seconds_max
        session = Session(new_id, key, owner, token, _digest(agent), ends_at, is_admin)
        self._sessions[new_id] = session
        return session

    def find(self, session_id: str | None, agent: str) -> Session | None:
        """Return the session; None if it has ended, is unknown, or belongs to another browser."""
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
