"""How long a batch may take: the completion window as clients write it, `90m`, `24h` or `7d`."""

from __future__ import annotations

import re

DEFAULT = "24h"
"""OpenAI's only window."""
HOUR_SECONDS = 3_600
SECONDS_MIN, SECONDS_MAX = HOUR_SECONDS, 7 * 24 * HOUR_SECONDS
"""Ours go from an hour to a week."""
PATTERN = "[1-9][0-9]{0,5}[mhd]"
UNIT_SECONDS = {"m": 60, "h": HOUR_SECONDS, "d": 24 * HOUR_SECONDS}


def is_window(text: str) -> bool:
    """Whether the text is well formed and its length within the bounds."""
    return re.fullmatch(PATTERN, text) is not None and SECONDS_MIN <= seconds_of(text) <= SECONDS_MAX


def seconds_of(window: str) -> int:
    """The length of a window that is well formed."""
    return int(window[:-1]) * UNIT_SECONDS[window[-1]]


def window_of(hours: int) -> str | None:
    """The window of this many hours; None when it would be longer than the longest."""
    return f"{hours}h" if hours * HOUR_SECONDS <= SECONDS_MAX else None
