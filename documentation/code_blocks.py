"""The fenced code blocks of a page, and which of them a reader is meant to run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXCLUDED = re.compile(r"<!-- not run by the tests: (?P<reason>[^>]+) -->\n\Z")
SHELL, PYTHON, TOML = "sh", "python", "toml"


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """`line` is that of the fence, 1-based. `excluded` says why a test does not run the block; empty when it does."""

    language: str
    text: str
    line: int
    excluded: str = ""


def code_blocks(page: str) -> Iterator[CodeBlock]:
    """Every block in the order of the page."""
    for found in FENCE.finditer(page):
        before = page[: found.start()]
        excluded = EXCLUDED.search(before)
        reason = excluded["reason"] if excluded else ""
        yield CodeBlock(found[1], found[2], before.count("\n") + 1, reason)


def commands(page: str) -> list[CodeBlock]:
    """The blocks to run: shell and Python, without those that the page excludes."""
    return [block for block in code_blocks(page) if block.language in (SHELL, PYTHON) and not block.excluded]
