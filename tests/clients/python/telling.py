"""Runs the cases of a client; one line of JSON for each goes to stdout."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Sequence

MODEL = "simulated-chat"
QUESTION = "one two"
ANSWER = "[simulated] one two"
CITY = {"name": "[simulated]", "people": 0}
"""What the simulated engine makes of a schema."""


def tell(cases: Sequence[Callable[[str], None]]) -> None:
    """Each case gets the base URL of the API and fails by raising."""
    for case in cases:
        sys.stdout.write(json.dumps({"case": case.__name__, "fault": _fault_of(case, sys.argv[1])}) + "\n")


def _fault_of(case: Callable[[str], None], base_url: str) -> str | None:
    try:
        case(base_url)
    except Exception:  # noqa: BLE001  # whatever a client raises is told by the test that started this
        return traceback.format_exc(limit=-6)
    return None
