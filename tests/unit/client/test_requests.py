from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, strategies as st

from vbatch.client.core.requests import RequestTemplate, RowFault, RowIds
from vbatch.client.core.templates import TemplateError, escaped
from vbatch.client.core.values import NotText, text_of, whole
from vbatch.contracts.lines import parse_request_line

TEXTS = st.text(st.characters(categories=None), max_size=60)
CHAT = RequestTemplate(model="m", prompt="Translate: {text}", id_column="id", max_tokens=9, params={"temperature": 0})


def body_of(template: RequestTemplate, row: dict[str, object]) -> dict[str, object]:
    return msgspec.json.decode(parse_request_line(template.line(row, "a")).body, type=dict[str, object])


def test_a_row_becomes_a_chat_request():
    line = CHAT.line({"id": 7, "text": "hello", "other": None}, "7")
    assert json.loads(line) == {
        "custom_id": "7",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "m",
            "messages": [{"role": "user", "content": "Translate: hello"}],
            "max_tokens": 9,
            "temperature": 0,
        },
    }


def test_the_system_prompt_is_a_template_as_well():
    template = RequestTemplate(model="m", prompt="{text}", system="Answer in {language}.")
    assert body_of(template, {"text": "x", "language": "Latin"})["messages"] == [
        {"role": "system", "content": "Answer in Latin."},
        {"role": "user", "content": "x"},
    ]


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/completions", {"prompt": "x", "max_tokens": 3}),
        ("/v1/responses", {"input": "x", "max_output_tokens": 3}),
    ],
)
def test_each_endpoint_has_its_body(endpoint: str, body: dict[str, object]):
    template = RequestTemplate(model="m", prompt="{text}", endpoint=endpoint, max_tokens=3)
    assert body_of(template, {"text": "x"}) == {"model": "m"} | body


def test_embeddings_take_the_prompt_alone():
    template = RequestTemplate(model="m", prompt="{text}", endpoint="/v1/embeddings")
    assert body_of(template, {"text": "x"}) == {"model": "m", "input": "x"}


@given(TEXTS, TEXTS, TEXTS)
def test_any_text_reaches_the_request_as_it_is(before: str, value: str, system: str):
    template = RequestTemplate(model="m", prompt=escaped(before) + "{text}", system=escaped(system))
    line = template.line({"text": value}, "a")
    assert line.count(b"\n") == 1
    texts = [message["content"] for message in json.loads(line)["body"]["messages"]]
    assert texts == [whole(system), whole(whole(before) + whole(value))]


@given(TEXTS)
def test_a_whole_text_has_no_half_of_a_pair_and_is_changed_only_for_one(text: str):
    assert whole(text).encode().decode() == whole(text)
    if not any("\ud800" <= each <= "\udfff" for each in text):
        assert whole(text) == text


def test_missing_columns_are_named_with_those_there_are():
    with pytest.raises(TemplateError) as caught:
        CHAT.check_columns(["key", "words"])
    assert str(caught.value) == "The input has no columns 'id', 'text'. It has: 'key', 'words'."


def test_json_in_a_prompt_is_told_how_to_write_its_braces():
    template = RequestTemplate(model="m", prompt='Answer as {"mood": "good"}: {text}')
    with pytest.raises(TemplateError, match=r"Write \{\{ and \}\} for braces"):
        template.check_columns(["text"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"endpoint": "/v1/rerank"}, "makes requests for"),
        ({"endpoint": "/v1/embeddings", "system": "x"}, "has no system prompt"),
        ({"endpoint": "/v1/embeddings", "max_tokens": 3}, "no max_tokens"),
        ({"params": {"stream": True}}, "cannot set 'stream'"),
        ({"params": {"seed": object()}}, "cannot be written as JSON"),
        ({"system": "{"}, "lone"),
    ],
)
def test_what_no_request_can_have_is_refused_at_once(fields: dict[str, object], words: str):
    with pytest.raises(TemplateError, match=words):
        RequestTemplate(**({"model": "m", "prompt": "{text}"} | fields))  # type: ignore[arg-type]  # one of each kind


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "x"}, "the id is missing: there is no 'id'; the row has 'text'"),
        ({"id": None}, "the id is missing: 'id' is null"),
        ({"id": ""}, "the id is missing: 'id' is empty"),
        ({"id": "é" * 513}, "longer than 1,024 bytes"),
        ({"id": b"x"}, "holds bytes"),
    ],
)
def test_an_id_that_cannot_be_one_is_a_fault(row: dict[str, object], words: str):
    with pytest.raises(RowFault, match=words):
        RowIds("id").of(row, 1)


def test_rows_without_an_id_column_are_numbered():
    assert [RowIds().of({}, number) for number in (1, 2)] == ["row-1", "row-2"]


def test_a_row_without_a_column_is_a_fault():
    with pytest.raises(RowFault, match="there is no 'text'"):
        CHAT.line({"id": 1}, "1")
    with pytest.raises(RowFault, match="'text' is null"):
        CHAT.line({"id": 1, "text": None}, "1")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (0.1, "0.1"),
        (True, "true"),
        (date(2026, 11, 29), "2026-11-29"),
        (Decimal("1.10"), "1.10"),
        ([1, None, "ü"], '[1,null,"ü"]'),
        ({"a": "\ud800"}, '{"a":"\ufffd"}'),
    ],
)
def test_other_values_have_their_usual_text(value: object, text: str):
    assert text_of(value) == text


@pytest.mark.parametrize("value", [None, b"x", float("nan"), object()])
def test_a_value_without_text_is_refused(value: object):
    with pytest.raises(NotText):
        text_of(value)
