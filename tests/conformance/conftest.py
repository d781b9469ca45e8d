"""The conformance tier has one real stack for all clients."""

from __future__ import annotations

from tests.support.stack import _session_stack, stack

__all__ = ["_session_stack", "stack"]
