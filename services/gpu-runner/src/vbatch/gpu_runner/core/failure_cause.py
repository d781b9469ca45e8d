"""Finds what ended an engine in its log: tracebacks of later errors follow the line that names the cause."""

from __future__ import annotations

import re

from vbatch.gpu_runner.core.ladder import memory_line

CAUSE_CHARS_MAX = 500
_ERROR = re.compile(r"^(?:\(\w+ pid=\d+\) )?(?:ERROR .*?\] )?((?:\w+\.)*[A-Z]\w*(?:Error|Exception): .+)$")
"""The end of a traceback as Python prints it or vLLM 0.32 logs it, but not a warning that quotes one."""


def cause_in(log: str) -> str:
    """Return the line about memory, or else the first error near the end of the log; empty if there is none."""
    return memory_line(log) or next(filter(None, map(_error, log.splitlines())), "")


def _error(line: str) -> str:
    found = _ERROR.match(line)
    return found.group(1)[:CAUSE_CHARS_MAX].rstrip() if found else ""
