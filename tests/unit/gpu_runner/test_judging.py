"""What is wrong with an answer, as far as it shows without reading it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from vbatch.contracts.endpoints import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RESPONSES
from vbatch.contracts.events import Flaw
from vbatch.contracts.ids import SliceId
from vbatch.gpu_runner.core.answers import outcome_of
from vbatch.gpu_runner.core.feed import Request
from vbatch.gpu_runner.core.judging import REPEATED_CHARS_MIN, REPEATS_MIN, flaws_of, is_repeating

JSON_MODE = {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}
LOOP = "the same words again and "


def request(endpoint: str = CHAT_COMPLETIONS, **body: Any) -> Request:
    return Request(SliceId("s"), 1, "a", endpoint, json.dumps({"model": "m", **body}).encode())


def chat(content: str | None, finish_reason: str = "stop", **message: Any) -> bytes:
    choice = {"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish_reason}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}).encode()


def response(text: str, **more: Any) -> bytes:
    item = {"type": "message", "content": [{"type": "output_text", "text": text}]}
    return json.dumps({"output": [{"type": "reasoning"}, item], **more}).encode()


@pytest.mark.parametrize(
    ("body", "asked", "flaws"),
    [
        (chat("A good answer."), {}, ()),
        (chat(""), {}, (Flaw.EMPTY,)),
        (chat(" \n"), {}, (Flaw.EMPTY,)),
        (chat(None), {}, (Flaw.EMPTY,)),
        (chat(None, tool_calls=[{"id": "1"}]), {}, ()),
        (chat(None, tool_calls=[]), {}, (Flaw.EMPTY,)),
        (chat("Cut in the mid", "length"), {}, (Flaw.CUT,)),
        (chat("", "length"), {}, (Flaw.EMPTY, Flaw.CUT)),
        (chat('{"a": 1}'), JSON_MODE, ()),
        (chat('{"a": 1'), JSON_MODE, (Flaw.NOT_JSON,)),
        (chat('```json\n{"a": 1}\n```'), JSON_MODE, (Flaw.NOT_JSON,)),
        (chat('{"a": 1', "length"), JSON_MODE, (Flaw.CUT, Flaw.NOT_JSON)),
        (chat("no JSON"), {"response_format": {"type": "text"}}, ()),
        (chat("no JSON", "stop"), {"messages": [{"content": 'say "response_format"'}]}, ()),
        (chat(None, refusal="I will not."), {}, (Flaw.REFUSED,)),
        (chat("", "content_filter"), JSON_MODE, (Flaw.REFUSED,)),
        (chat("I’m sorry, but I can’t help with that."), {}, (Flaw.REFUSED,)),  # noqa: RUF001
        (chat("He said: I'm sorry, but I can't."), {}, ()),
        (chat(LOOP * 40, "length"), {}, (Flaw.CUT, Flaw.REPEATING)),
        (b'{"choices": 1}', {}, ()),
        (b"[]", {}, ()),
    ],
)
def test_a_chat_answer_is_judged(body: bytes, asked: dict[str, Any], flaws: tuple[Flaw, ...]):
    assert flaws_of(request(**asked), body) == flaws


def test_one_bad_choice_among_several_is_enough():
    choices = [json.loads(chat(text))["choices"][0] for text in ("good", "", "")]
    assert flaws_of(request(), json.dumps({"choices": choices}).encode()) == (Flaw.EMPTY,)


def test_a_completion_is_judged_by_its_text():
    body = json.dumps({"choices": [{"text": "", "finish_reason": "length"}]}).encode()
    assert flaws_of(request(COMPLETIONS), body) == (Flaw.EMPTY, Flaw.CUT)


@pytest.mark.parametrize(
    ("body", "asked", "flaws"),
    [
        (response("fine"), {}, ()),
        (response(""), {}, (Flaw.EMPTY,)),
        (response("x", incomplete_details={"reason": "max_output_tokens"}), {}, (Flaw.CUT,)),
        (response("no"), {"text": {"format": {"type": "json_object"}}}, (Flaw.NOT_JSON,)),
        (json.dumps({"output": [{"type": "function_call"}]}).encode(), {}, ()),
    ],
)
def test_a_response_is_judged_by_its_messages(body: bytes, asked: dict[str, Any], flaws: tuple[Flaw, ...]):
    assert flaws_of(request(RESPONSES, **asked), body) == flaws


def test_vectors_and_failures_are_not_judged():
    assert flaws_of(request(EMBEDDINGS), chat("")) == ()
    assert outcome_of(request(), 400, chat(""), 0.0).flaws == ()
    assert outcome_of(request(), 200, chat(""), 0.0).flaws == (Flaw.EMPTY,)


@given(st.text(min_size=1, max_size=150), st.text(max_size=300), st.integers(REPEATS_MIN, 20))
def test_a_text_that_ends_in_a_loop_is_found(passage: str, before: str, times: int):
    text = before + passage * max(times, REPEATED_CHARS_MIN // len(passage) + 2)
    assert is_repeating(text)


@given(st.text(max_size=3_000))
def test_a_text_that_is_called_repeating_really_ends_in_one_passage(text: str):
    looped = text + text[-40:] * 5
    if is_repeating(looped):
        end = looped[-REPEATED_CHARS_MIN:]
        assert any(end[place:] == end[: len(end) - place] for place in range(1, REPEATED_CHARS_MIN // 2 + 1))


def test_a_table_or_a_list_is_no_loop():
    table = "".join(f"| row {number} | {number * number} |\n" for number in range(60))
    assert not is_repeating(table)
