"""Pictures as SVG text: boxes, arrows and words on a light card that reads well on any page."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
INK, MUTED, LINE, CARD = "#1b2330", "#5b6675", "#8a95a5", "#ffffff"


def svg(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """A picture of so many pixels; `title` is read to those who cannot see it."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" font-family="{FONT}">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            f'orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" fill="{MUTED}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="10" fill="{CARD}" stroke="#d9dee6"/>',
            *parts,
            "</svg>\n",
        ]
    )


def box(x: int, y: int, width: int, height: int, words: str, *, fill: str, stroke: str) -> str:
    """A rounded box around `words`; x and y are its centre."""
    return (
        f'<rect x="{x - width // 2}" y="{y - height // 2}" width="{width}" height="{height}" rx="8" '
        f'fill="{fill}" stroke="{stroke}" stroke-width="1.5"/>' + text(x, y + 5, words, size=14, weight=600)
    )


def arrow(points: Iterable[tuple[int, int]], *, dashed: bool = False) -> str:
    """A line through the points with a tip at its end."""
    path = " ".join(f"{x},{y}" for x, y in points)
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{MUTED}" stroke-width="1.5"{dashes} marker-end="url(#tip)"/>'


def line(x1: int, y1: int, x2: int, y2: int) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{LINE}" stroke-dasharray="3 4"/>'


def text(x: int, y: int, words: str, *, size: int = 12, weight: int = 400, anchor: str = "middle") -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{INK}" paint-order="stroke" stroke="{CARD}" stroke-width="{0 if weight > 400 else 4}">'
        f"{escape(words)}</text>"
    )
