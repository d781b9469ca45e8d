import base64
import json
from html.parser import HTMLParser

import pytest

from vbatch.console.adapters.http.markdown import markdown_html
from vbatch.console.core.answer_parts import (
    NODES_MAX,
    PICTURES_MAX,
    Shape,
    pictures_of,
    shape_of,
    tool_calls_of,
    tree_of,
    vectors_of,
)
from vbatch.console.core.selection import asked, chips, exported, selection_of

PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 40).decode()


class Seen(HTMLParser):
    """What a browser would make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def picture(url: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url}}


def test_a_picture_that_the_request_carries_is_shown():
    assert pictures_of([picture(PNG), {"type": "text", "text": "what is this?"}]) == (PNG,)
    assert len(pictures_of([picture(PNG)] * 99)) == PICTURES_MAX


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/spy.png",
        "data:image/svg+xml;base64," + base64.b64encode(b"<svg onload='x()'>").decode(),
        "data:text/html;base64,PHNjcmlwdD4=",
        "data:image/png;base64," + base64.b64encode(b"<svg onload='x()'>" * 3).decode(),
        "data:image/png;base64,%%%",
        "data:image/png,plain",
        "javascript:alert(1)",
    ],
)
def test_no_other_picture_is_shown(url: str):
    assert pictures_of([picture(url)]) == ()


def test_a_call_of_a_tool_has_its_name_and_its_arguments_indented():
    call = {"function": {"name": "search", "arguments": '{"q":"tides"}'}}
    body = {"choices": [{"message": {"content": None, "tool_calls": [call, None, {}]}}]}
    [found] = tool_calls_of(body)
    assert (found.name, found.arguments) == ("search", '{\n  "q": "tides"\n}')
    broken = {"choices": [{"message": {"tool_calls": [{"function": {"name": "x", "arguments": "{"}}]}}]}
    assert tool_calls_of(broken)[0].arguments == "{"


def test_a_vector_has_its_dimension_and_its_norm():
    [vector] = vectors_of({"data": [{"embedding": [3, 4.0]}, {"embedding": ["x"]}, {"embedding": "base64"}]})
    assert (vector.dimension, vector.norm, vector.first) == (2, 5.0, (3.0, 4.0))


def test_json_becomes_a_tree_that_is_never_too_large():
    tree = tree_of('{"a": [1, null], "b": "x"}')
    assert tree is not None and tree.size == 2
    assert [(child.key, child.kind) for child in tree.children] == [("a", "array"), ("b", "string")]
    long = tree_of(json.dumps(list(range(NODES_MAX * 2))))
    assert long is not None and len(long.children) < NODES_MAX and long.size == NODES_MAX * 2
    assert tree_of("[" * 50_000) is None and tree_of("42") is None and tree_of("no") is None
    assert tree_of("[" * 200 + "]" * 200) is not None


@pytest.mark.parametrize(
    "odd", [None, 7, [], {"choices": 3}, {"choices": [3]}, {"data": [3]}, {"data": [{"embedding": []}]}]
)
def test_an_odd_shape_has_no_parts(odd: object):
    assert tool_calls_of(odd) == () and vectors_of(odd) == () and pictures_of(odd) == ()


@pytest.mark.parametrize(
    "text",
    [
        "<script>x()</script>",
        "<img src=x onerror=x()>",
        "[click](javascript:x())",
        "![spy](https://elsewhere.example/spy.png)",
        "<https://elsewhere.example>",
        "[a][1]\n\n[1]: javascript:x()",
        "[click](data:text/html;base64,PHNjcmlwdD4=)",
        "```\n</code></pre><script>x()</script>\n```",
        '```"><script>x()</script>\n```',
        "| a |\n|:-:|\n| <svg onload=x()> |",
        "&lt;script&gt; &#60;script&#62;",
    ],
)
def test_markdown_makes_nothing_that_acts(text: str):
    seen = Seen()
    seen.feed(str(markdown_html(text)))
    assert seen.tags <= {"p", "pre", "code", "table", "thead", "tbody", "tr", "th", "td"}
    assert seen.attributes <= {"class"}


def test_markdown_is_shown_as_such_with_hidden_marks_made_visible():
    html = str(markdown_html("# Title\n\n**bold** and `code` \u202egnp\n\n- one\n- two"))
    assert '<p class="md-h1">Title</p>' in html and "<strong>bold</strong>" in html and "<li>one</li>" in html
    assert "\u202e" not in html and "⟨U+202E⟩" in html


def test_deep_markdown_ends():
    assert len(str(markdown_html(">" * 20_000))) < 1_000_000
    assert len(str(markdown_html("*a " * 5_000))) < 1_000_000


def test_an_address_selects_and_says_so():
    query = {"contains": "tides", "is_json": "true", "order": "-seconds", "as": "raw", "from_line": "501", "other": "x"}
    selection = selection_of(query)
    assert "other" not in selection and selection["after_line"] == "500"
    assert "as" not in asked(selection) and exported(selection) == {"contains": "tides", "is_json": "true"}
    assert [chip.words for chip in chips(selection)] == ["holds “tides”", "valid JSON"]
    assert shape_of("raw") is Shape.RAW and shape_of("nonsense") is Shape.TEXT and shape_of(None) is Shape.TEXT
