"""Renders the Markdown of a model as inactive HTML: no HTML of its own, no working link, no picture.

The text of a link or a picture is shown as it was written. Headings become paragraphs, so that a page keeps its own
outline.
"""

from __future__ import annotations

from markdown_it import MarkdownIt
from markupsafe import Markup

from vbatch.console.core.wording import shown_text

NESTING_MAX = 20
REFUSED = ["html_block", "html_inline", "link", "autolink", "image", "reference", "linkify"]


def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": NESTING_MAX})
    return reader.enable(["table", "strikethrough"]).disable(REFUSED, ignoreInvalid=True)


_READER = _reader()


def markdown_html(text: str) -> Markup:
    """The reader escapes every text itself."""
    tokens = _READER.parse(shown_text(text))
    for token in tokens:
        if token.type in ("th_open", "td_open"):
            token.attrs.clear()  # the alignment of a column would be an inline style, which our pages do not allow
        if token.type in ("heading_open", "heading_close"):
            level, token.tag = token.tag, "p"
            if token.nesting == 1:
                token.attrSet("class", f"md-{level}")
        if token.type == "table_open":
            token.attrSet("class", "md-table")
    return Markup(_READER.renderer.render(tokens, _READER.options, {}))  # HTML of our own making
