"""The shape that all events share."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The shape that all events share: frozen and flat; unset optional fields stay off the wire. `at` is aware UTC."""

    at: datetime
