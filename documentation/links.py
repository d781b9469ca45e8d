"""The links of the documents: each relative one leads to a file, and each anchor to a heading of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def documents() -> list[Path]:
    """Every page for people, in the repository's order."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def broken_links(document: Path) -> list[str]:
    """The links of one document that lead nowhere, as they are written there."""
    return [target for target in _targets(document) if not _leads_somewhere(document, target)]


def anchors(document: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    return {_anchor(heading) for heading in HEADING.findall(FENCE.sub("", document.read_text()))}


def _targets(document: Path) -> Iterator[str]:
    prose = CODE.sub("", FENCE.sub("", document.read_text()))
    return (target for target in LINK.findall(prose) if "://" not in target and not target.startswith("mailto:"))


def _leads_somewhere(document: Path, target: str) -> bool:
    path, _, anchor = unquote(target).partition("#")
    found = document.parent / path if path else document
    return found.exists() and (not anchor or anchor in anchors(found))


def _anchor(heading: str) -> str:
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
