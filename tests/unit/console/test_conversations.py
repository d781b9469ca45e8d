import json

import msgspec
import pytest

from vbatch.console.core.api_objects import LineDetail
from vbatch.console.core.conversations import TEXT_CHARS_MAX, conversation_of


def detail(request: object = None, answer: object = None, **more: str) -> LineDetail:
    heads = {"request_head": None, "answer_head": None} | more
    answered = json.dumps({"line": 3, "request": request, "answer": answer} | heads)
    return msgspec.json.decode(answered, type=LineDetail)


def test_a_line_is_a_conversation_with_its_answer():
    messages = [{"role": "system", "content": "Brief."}, {"role": "user", "content": "Why?"}]
    answer = {"response": {"status_code": 200, "body": {"choices": [{"message": {"content": "Because."}}]}}}
    talk = conversation_of(detail({"custom_id": "a", "body": {"messages": messages}}, answer))
    assert [(turn.role, turn.text) for turn in talk.turns] == [("system", "Brief."), ("user", "Why?")]
    assert talk.answer is not None and talk.answer.text == "Because." and not talk.is_error
    assert talk.custom_id == "a"


def test_an_error_is_told_as_one():
    talk = conversation_of(detail(None, {"custom_id": "b", "response": None, "error": {"message": "Too late."}}))
    assert talk.is_error and talk.answer is not None and talk.answer.text == "Too late."
    assert talk.turns == () and talk.custom_id == "b"


def test_a_long_text_is_cut_and_says_by_how_much():
    talk = conversation_of(detail({"body": {"prompt": "x" * (TEXT_CHARS_MAX + 5)}}))
    assert talk.turns[0].cut_chars == 5 and talk.answer is None


def test_what_is_too_long_to_be_read_is_shown_by_its_beginning():
    talk = conversation_of(detail(None, None, request_head="{bro", answer_head="{ken"))
    assert talk.request_json == "{bro" and talk.answer is not None and talk.answer.text == "{ken"


ODD: tuple[object, ...] = (
    [],
    7,
    "x",
    {"body": None},
    {"body": {"messages": [None, 3, {"role": 5, "content": {}}]}},
    {},
)


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_shape_breaks_nothing_and_says_nothing(odd):
    talk = conversation_of(detail(odd, odd))
    assert talk.answer is None and all(turn.text == "" for turn in talk.turns)
