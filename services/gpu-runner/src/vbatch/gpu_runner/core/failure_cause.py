"""What ended an engine, by its log: tracebacks of what followed stand behind the line that says it."""

from __future__ import annotations

import re

from vbatch.gpu_runner.core.ladder import memory_line

CAUSE_CHARS_MAX = 500
_ERROR = re.compile(r"^(?:\(\w+ pid=\d+\) )?(?:ERROR .*?\] )?((?:\w+\.)*[A-Z]\w*(?:Error|Exception): .+)$")
"""The end of a traceback as Python prints it, or as vLLM 0.32 logs it; no warning that quotes one."""


def cause_in(log: str) -> str:
    """What speaks of memory, else the first error of the log's end; empty where it names none."""
    return memory_line(log) or next(filter(None, map(_error, log.splitlines())), "")


def _error(line: str) -> str:
    found = _ERROR.match(line)
    return found.group(1)[:CAUSE_CHARS_MAX].rstrip() if found else ""
