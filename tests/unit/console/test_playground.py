"""The request that the playground makes of its form, and what it reads of the answer's stream."""

from __future__ import annotations

import json

import pytest

from vbatch.console.core.new_batch import Misfilled
from vbatch.console.core.playground import (
    Failed,
    Prompt,
    Said,
    Sum,
    Text,
    Waiting,
    batch_line,
    prompt_snippets,
    read_prompt,
    read_stream_line,
    request_of,
    streamed,
)

PROMPT = Prompt(model="m", user="Hello?")


def test_a_prompt_becomes_a_chat():
    prompt = Prompt(model="m", system="Be brief.", user="Hello?", temperature="0.5", max_tokens="9")
    assert request_of(prompt) == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}],
        "max_tokens": 9,
        "temperature": 0.5,
    }


def test_what_is_left_empty_is_left_to_the_model():
    assert set(request_of(Prompt(model="m", user="Hello?", max_tokens=""))) == {"model", "messages"}


def test_a_schema_asks_for_json():
    body = request_of(Prompt(model="m", user="Hello?", schema='{"type": "object"}'))
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}},
    }


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (Prompt(user="Hello?"), "Choose a model"),
        (Prompt(model="m", user="  "), "what the user says"),
        (Prompt(model="m", user="Hello?", max_tokens="0"), "whole number"),
        (Prompt(model="m", user="Hello?", max_tokens="²"), "whole number"),
        (Prompt(model="m", user="Hello?", temperature="hot"), "from 0 to 2"),
        (Prompt(model="m", user="Hello?", temperature="nan"), "from 0 to 2"),
        (Prompt(model="m", user="Hello?", schema="{"), "not JSON"),
        (Prompt(model="m", user="Hello?", schema="[]"), "in braces"),
        (Prompt(model="m", user="Hello?", schema="[" * 100_000), "not JSON"),
    ],
)
def test_a_prompt_that_cannot_be_asked_says_why(prompt: Prompt, words: str):
    with pytest.raises(Misfilled, match=words):
        request_of(prompt)


def test_a_form_keeps_what_was_filled_in():
    fields = {"model": "m", "user": "a\r\nb", "temperature": " 1 ", "max_tokens": "5"}
    assert read_prompt(fields) == Prompt(model="m", user="a\nb", temperature="1", max_tokens="5")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b": waiting for the model\n", [Waiting()]),
        (b"\n", []),
        (b"data: [DONE]\n", []),
        (b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n', []),
        (b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n', [Text("Hi")]),
        (b'data: {"choices": [{"delta": {"reasoning_content": "Hm"}}]}\n', [Text("Hm", is_reasoning=True)]),
        (b'data: {"choices": [{"delta": {}, "finish_reason": "length"}]}\n', [Sum("length")]),
        (b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n', [Sum(None, 3, 4)]),
        (b'data: {"error": {"message": "The engine stopped."}}\n', [Failed("The engine stopped.")]),
        (b"data: {\n", [Failed("The answer cannot be read.")]),
    ],
)
def test_a_line_of_the_stream_is_read(line: bytes, said: list[Said]):
    assert read_stream_line(line) == said


def test_a_line_of_a_batch_holds_the_same_request():
    assert json.loads(batch_line(request_of(PROMPT)))["body"] == request_of(PROMPT)


def test_the_same_by_program_is_python_and_never_has_a_key():
    snippets = prompt_snippets("http://host:1", request_of(Prompt(model="m", user='It\'s "you"?')))
    python = next(each.text for each in snippets if each.title == "Python")
    compile(python, "snippet", "exec")
    assert all("sk-" not in each.text for each in snippets)
    assert streamed(request_of(PROMPT))["stream"] is True
