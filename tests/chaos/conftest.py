"""The known failures share one stack; the campaign has its own."""

from __future__ import annotations

from tests.support.stack import _session_stack, client, stack

__all__ = ["_session_stack", "client", "stack"]
