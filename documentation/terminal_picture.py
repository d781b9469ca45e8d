"""A terminal session as an animated SVG: the screens that were seen, each for as long as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.sax.saxutils import escape

CELL_WIDTH, LINE_HEIGHT, MARGIN, BAR = 8.4, 19, 18, 34
BACKGROUND, FOREGROUND = "#11151c", "#d7dce3"
COLOURS: Mapping[str, str] = {
    "black": "#4b5563",
    "red": "#f2777a",
    "green": "#8fd18a",
    "brown": "#e6c07b",
    "blue": "#7ab0f5",
    "magenta": "#d79be0",
    "cyan": "#6fd0d6",
    "white": "#d7dce3",
}
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"


@dataclass(frozen=True, slots=True)
class Cell:
    """One character with its colour: a name, six hexadecimal digits, or `default`."""

    character: str
    colour: str = "default"
    is_bold: bool = False


@dataclass(frozen=True, slots=True)
class Screen:
    """What the terminal showed, by line, and for how many seconds."""

    lines: tuple[tuple[Cell, ...], ...]
    seconds: float


def animated_svg(screens: Sequence[Screen], columns: int, title: str) -> str:
    """Where motion is unwanted or unsupported the last screen stands still."""
    rows = max(len(screen.lines) for screen in screens)
    width, height = round(columns * CELL_WIDTH + 2 * MARGIN), rows * LINE_HEIGHT + BAR + MARGIN
    body = [_screen(number, screen, is_last=screen is screens[-1]) for number, screen in enumerate(screens)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" font-family="{FONT}" font-size="14">',
            f"<title>{escape(title)}</title>",
            f"<style>{''.join(_style(screens))}</style>",
            f'<rect width="{width}" height="{height}" rx="10" fill="{BACKGROUND}"/>',
            *(f'<circle cx="{MARGIN + 4 + 18 * n}" cy="17" r="5" fill="#39414e"/>' for n in range(3)),
            *body,
            "</svg>\n",
        ]
    )


def _style(screens: Sequence[Screen]) -> Iterator[str]:
    total, begin = sum(screen.seconds for screen in screens), 0.0
    yield "text{white-space:pre}.s{visibility:hidden}.last{visibility:visible}"
    yield "@media (prefers-reduced-motion:no-preference){.s{visibility:hidden;animation-timing-function:step-end;"
    yield f"animation-iteration-count:infinite;animation-duration:{total:.2f}s}}"
    yield "".join(f".n{number}{{animation-name:k{number}}}" for number in range(len(screens)))
    yield "}"
    for number, screen in enumerate(screens):
        yield _keyframes(number, 100 * begin / total, 100 * (begin + screen.seconds) / total)
        begin += screen.seconds


def _keyframes(number: int, first: float, last: float) -> str:
    """One screen is seen from `first` to `last`, in per cent of the whole."""
    before = "0%{visibility:hidden}" if first else ""
    after = f"{last:.2f}%{{visibility:hidden}}" if round(last, 2) < 100 else ""
    return f"@keyframes k{number}{{{before}{first:.2f}%{{visibility:visible}}{after}}}"


def _screen(number: int, screen: Screen, *, is_last: bool) -> str:
    lines = [text for row, line in enumerate(screen.lines) if (text := _line(row, line))]
    return f'<g class="s n{number}{" last" if is_last else ""}">{"".join(lines)}</g>'


def _line(row: int, line: Sequence[Cell]) -> str:
    """One text element with a span for each run of one colour; each run has its place, whatever the font."""
    spans, column = [], 0
    for (colour, is_bold), run in groupby(line, key=lambda cell: (cell.colour, cell.is_bold)):
        words = "".join(cell.character for cell in run)
        if words.strip():
            weight = ' font-weight="700"' if is_bold else ""
            x = MARGIN + column * CELL_WIDTH
            length = f' textLength="{len(words) * CELL_WIDTH:.1f}" lengthAdjust="spacingAndGlyphs"'
            spans.append(f'<tspan x="{x:.1f}" fill="{_colour(colour)}"{weight}{length}>{escape(words)}</tspan>')
        column += len(words)
    return f'<text y="{BAR + (row + 1) * LINE_HEIGHT - 5}">{"".join(spans)}</text>' if spans else ""


def _colour(name: str) -> str:
    if name == "default":
        return FOREGROUND
    return COLOURS.get(name.removeprefix("bright"), f"#{name}")
