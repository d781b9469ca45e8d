"""The few pieces of Markdown that generated pages are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

GENERATED = "This page is generated from {source}; `./taskw docs` writes it.\n"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with one line a row. Cells may hold Markdown, but no line break."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell(text) for text in line) + " |" for line in lines) + "\n"


def cell(text: str) -> str:
    """Text on one line that no bar ends."""
    return " ".join(text.split()).replace("|", "\\|")


def replaced(page: str, name: str, content: str) -> str:
    """The page with `content` between the two comments `<!-- generated: name -->` and `<!-- end: name -->`.

    Raises ValueError when the page lacks one of them.
    """
    begin, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the page lacks {begin} or {end}")
    return f"{before}{begin}\n{content}{end}{after}"
