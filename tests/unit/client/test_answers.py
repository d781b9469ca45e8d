from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from vbatch.client.core.answers import AnswerUnreadable, parse_answer
from vbatch.client.core.joining import NO_ANSWER, AnswerColumns, ColumnTaken
from vbatch.contracts.lines import single_line


def output(body: object, status: int = 200) -> bytes:
    response = {"status_code": status, "request_id": "r", "body": body}
    return json.dumps({"id": "b", "custom_id": "a", "response": response, "error": None}).encode()


def chat(message: dict[str, object]) -> dict[str, object]:
    usage = {"prompt_tokens": 5, "completion_tokens": 7}
    return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}


def test_a_chat_answer_has_its_text_and_cost():
    answer = parse_answer(output(chat({"role": "assistant", "content": "Paris"})), next_byte=9)
    assert (answer.custom_id, answer.text, answer.finish_reason, answer.error) == ("a", "Paris", "stop", None)
    assert (answer.input_tokens, answer.output_tokens, answer.status_code, answer.next_byte) == (5, 7, 200, 9)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"choices": [{"text": " Paris"}]}, " Paris"),
        ({"output": [{"type": "reasoning"}, {"content": [{"text": "Par"}, {"text": "is"}]}]}, "Paris"),
        (chat({"content": None, "tool_calls": [1]}), '{"content": null, "tool_calls": [1]}'),
        ({"results": [{"score": 1}]}, '{"results": [{"score": 1}]}'),
        ([1, 2], "[1, 2]"),
        ({"choices": "odd"}, '{"choices": "odd"}'),
    ],
)
def test_each_kind_of_answer_has_a_text(body: object, text: str):
    assert parse_answer(output(body)).text == text


def test_an_embedding_has_a_vector():
    answer = parse_answer(output({"data": [{"embedding": [0.5, -1]}]}))
    assert (answer.vector, answer.text, answer.value) == ([0.5, -1.0], None, [0.5, -1.0])


@pytest.mark.parametrize(
    ("line", "error", "code"),
    [
        (output({"error": {"message": "too long", "code": 400}}, 400), "too long", "400"),
        (output("odd", 500), 'HTTP 500: "odd"', None),
        (
            b'{"custom_id":"a","response":null,"error":{"code":"batch_expired","message":"late"}}',
            "late",
            "batch_expired",
        ),
        (b'{"custom_id":"a"}', "The request has neither an answer nor an error.", None),
    ],
)
def test_a_line_without_an_answer_says_why(line: bytes, error: str, code: str | None):
    answer = parse_answer(line)
    assert (answer.text, answer.error, answer.error_code) == (None, error, code)


def test_half_of_a_surrogate_pair_in_an_answer_is_no_fault():
    assert parse_answer(output(chat({"content": "cut \ud83d"}))).text == "cut \ufffd"


def test_what_is_no_output_line_is_refused():
    with pytest.raises(AnswerUnreadable):
        parse_answer(b"{}")


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back_as_the_engine_wrote_it(custom_id: str, text: str):
    line = {"custom_id": custom_id, "response": {"status_code": 200, "body": chat({"content": text})}}
    answer = parse_answer(single_line(json.dumps(line, ensure_ascii=False).encode()))
    assert (answer.custom_id, answer.text) == (custom_id, text)


def test_a_join_adds_its_columns_behind_those_there_are():
    answer = parse_answer(output(chat({"content": "Paris"})))
    assert AnswerColumns("reply").joined({"id": 1}, answer) == {
        "id": 1,
        "reply": "Paris",
        "reply_error": None,
        "reply_finish_reason": "stop",
        "reply_input_tokens": 5,
        "reply_output_tokens": 7,
    }
    assert AnswerColumns().values(None)[:2] == (None, NO_ANSWER)


def test_a_column_that_is_there_already_is_not_overwritten():
    with pytest.raises(ColumnTaken, match="'answer_error' already"):
        AnswerColumns().check(["id", "answer_error"])
