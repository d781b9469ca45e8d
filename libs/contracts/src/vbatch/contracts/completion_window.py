"""The time that a batch may take: a completion window as clients write it, such as `90m`, `24h` or `7d`."""

from __future__ import annotations

import re

DEFAULT = "24h"
"""The only window that OpenAI accepts."""
HOUR_SECONDS = 3_600
SECONDS_MIN, SECONDS_MAX = HOUR_SECONDS, 7 * 24 * HOUR_SECONDS
"""We accept windows from one hour to one week."""
PATTERN = "[1-9][0-9]{0,5}[mhd]"
UNIT_SECONDS = {"m": 60, "h": HOUR_SECONDS, "d": 24 * HOUR_SECONDS}


def is_window(text: str) -> bool:
    """Return whether the text is well formed and its length within the bounds."""
    return re.fullmatch(PATTERN, text) is not None and SECONDS_MIN <= seconds_of(text) <= SECONDS_MAX


def seconds_of(window: str) -> int:
    """Return the length of a well-formed window in seconds."""
    return int(window[:-1]) * UNIT_SECONDS[window[-1]]


def window_of(hours: int) -> str | None:
    """Return the window of this many hours; None if it is longer than the longest one allowed."""
    return f"{hours}h" if hours * HOUR_SECONDS <= SECONDS_MAX else None
