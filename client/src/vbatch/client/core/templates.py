"""A text with places for columns: `Translate: {text}`. `{{` and `}}` stand for literal braces.

A value that fills a place is never read as a template again, whatever it contains.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

TEMPLATE_BYTES_MAX = 1 << 20
_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<column>[^{}]*)\}|(?P<lone>[{}])")
ESCAPE_ADVICE = "Write {{ and }} for braces that stand for themselves."


class TemplateError(ValueError):
    """The text is not a template. The message says where, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Template:
    """Literal texts and, between each two of them, a column: there is one more literal than columns."""

    literals: tuple[str, ...]
    columns: tuple[str, ...]

    def fill(self, texts: Sequence[str]) -> str:
        """Put one text into each place, in the order of `columns`."""
        pieces = [self.literals[0]]
        for text, literal in zip(texts, self.literals[1:], strict=True):
            pieces += (text, literal)
        return "".join(pieces)


def parse_template(text: str) -> Template:
    """Return the template. Raises TemplateError for a lone brace, a place without a name, or a text beyond
    TEMPLATE_BYTES_MAX."""
    if len(text.encode(errors="replace")) > TEMPLATE_BYTES_MAX:
        raise TemplateError(f"The template is longer than {TEMPLATE_BYTES_MAX:,} bytes.")
    literals, columns, place = [""], [], 0
    for found in _TOKEN.finditer(text):
        literals[-1] += text[place : found.start()]
        place = found.end()
        if found["lone"]:
            raise TemplateError(f"The template has a lone {found[0]} at character {found.start() + 1}. {ESCAPE_ADVICE}")
        if found["column"] is None:
            literals[-1] += found[0][0]
        elif not found["column"]:
            raise TemplateError(f"The template names no column at character {found.start() + 1}. {ESCAPE_ADVICE}")
        else:
            columns.append(found["column"])
            literals.append("")
    literals[-1] += text[place:]
    return Template(tuple(literals), tuple(columns))


def escaped(text: str) -> str:
    """Return the template that stands for exactly this text."""
    return text.replace("{", "{{").replace("}", "}}")
