"""What a connection knows about the client of a request, and ASGI tells only to a task that waits for it.

A task and a timer for each request would cost more than most of what is done for an interactive request.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import Scope

EXTENSION = "vbatch.client"
"""The key among the extensions of an ASGI scope."""


class ClientSignals:
    """The client of one request. The connection calls `leave` and sets `has_whole_body`."""

    def __init__(self) -> None:
        self.has_whole_body = False
        """Whether nothing of the body is still to come, so that reading it never waits."""
        self._has_left = False
        self._on_left: Callable[[], object] | None = None

    def leave(self) -> None:
        """Note that the client has disconnected."""
        self._has_left = True
        if self._on_left is not None:
            self._on_left()

    def on_left(self, notice: Callable[[], object] | None) -> None:
        """Call `notice` when the client disconnects, or now if it has; None: no longer call anything."""
        self._on_left = notice
        if self._has_left and notice is not None:
            notice()


def signals_of(scope: Scope) -> ClientSignals:
    """Return the signals of a request. Those of another server than ours never change."""
    signals: ClientSignals | None = scope.get("extensions", {}).get(EXTENSION)
    return ClientSignals() if signals is None else signals
