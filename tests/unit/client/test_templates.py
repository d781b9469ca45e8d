from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from vbatch.client.core.templates import TEMPLATE_BYTES_MAX, TemplateError, escaped, parse_template

TEXTS = st.text(st.characters(categories=None), max_size=40)
"""Any text: braces, quotes, NULs and halves of surrogate pairs among it."""
NAMES = st.text(st.characters(exclude_characters="{}", exclude_categories=()), min_size=1, max_size=10)


def test_a_column_stands_where_its_name_does():
    template = parse_template("Translate {text} into {language}: {text}")
    assert template.columns == ("text", "language", "text")
    assert template.fill(["a", "b", "c"]) == "Translate a into b: c"


def test_a_name_may_have_spaces_dots_and_brackets():
    assert parse_template("{first name}{a.b}{c[0]}{d!r:>3}").columns == ("first name", "a.b", "c[0]", "d!r:>3")


@given(TEXTS)
def test_an_escaped_text_stands_for_itself(text: str):
    assert parse_template(escaped(text)).fill([]) == text


@given(st.lists(st.tuples(TEXTS, NAMES, TEXTS), max_size=5), TEXTS)
def test_what_is_put_in_is_never_read_as_a_template(places: list[tuple[str, str, str]], end: str):
    text = "".join(f"{escaped(literal)}{{{name}}}" for literal, name, _ in places) + escaped(end)
    template = parse_template(text)
    assert template.columns == tuple(name for _, name, _ in places)
    whole = "".join(literal + value for literal, _, value in places) + end
    assert template.fill([value for _, _, value in places]) == whole


@given(TEXTS)
def test_any_text_is_a_template_or_is_refused_as_one(text: str):
    try:
        parse_template(text)
    except TemplateError:
        pass


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a } b", "a lone } at character 3"),
        ("a {", "a lone { at character 3"),
        ("{a{b}}", "a lone { at character 1"),
        ("x {} y", "names no column at character 3"),
    ],
)
def test_a_fault_says_where_it_is_and_what_to_write(text: str, words: str):
    with pytest.raises(TemplateError, match=words.replace("{", r"\{")) as caught:
        parse_template(text)
    assert "Write {{ and }} for braces" in str(caught.value)


def test_a_template_has_a_bound():
    with pytest.raises(TemplateError, match="longer than"):
        parse_template("x" * (TEMPLATE_BYTES_MAX + 1))
