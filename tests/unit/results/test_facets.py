import json

import msgspec
import pytest

from vbatch.contracts import events as e
from vbatch.results.core.facets import FINISH_CHARS_MAX, NO_FACETS, facets_of


def answered(body: object, *, status_code: int = 200, body_blob: str | None = None) -> e.Outcome:
    raw = msgspec.Raw(body if isinstance(body, bytes) else json.dumps(body).encode())
    return e.Outcome(line=1, custom_id="a", status_code=status_code, body=raw, body_blob=body_blob)


def chat(content: object, finish_reason: object = "stop", **message: object) -> dict[str, object]:
    return {
        "model": "m",
        "choices": [{"finish_reason": finish_reason, "message": {"role": "assistant", "content": content} | message}],
    }


def test_an_answer_says_who_gave_it_how_it_ended_and_how_long_it_is():
    facets = facets_of(answered(chat("four", "length")))
    assert facets[:4] == ("m", "length", 4, False)


@pytest.mark.parametrize(
    ("text", "is_json"),
    [('{"a": [1, 2]}', True), (" [1]\n", True), ("42", False), ('{"a": 1} and more', False), ("[" * 5_000, False)],
)
def test_json_means_an_object_or_an_array_and_nothing_besides(text: str, is_json: bool):
    assert facets_of(answered(chat(text))).is_json is is_json


def test_equal_texts_are_known_by_their_hash():
    first, second, other = (facets_of(answered(chat(text))).text_hash for text in ("same", "same", "Same"))
    assert first == second != other


def test_completions_and_parts_and_tool_calls_and_responses_have_a_text():
    call = {"function": {"name": "search", "arguments": "{}"}}
    bodies = [
        {"choices": [{"text": "four", "finish_reason": "stop"}]},
        chat([{"type": "text", "text": "four"}]),
        {"output": [{"content": [{"type": "output_text", "text": "four"}]}]},
    ]
    assert [facets_of(answered(body)).text_chars for body in bodies] == [4, 4, 4]
    assert facets_of(answered(chat(None, "tool_calls", tool_calls=[call])))[1:3] == ("tool_calls", len("search({})"))


def test_a_vector_is_no_text():
    facets = facets_of(answered({"model": "m", "data": [{"object": "embedding", "embedding": [0.5] * 9}]}))
    assert facets.model == "m" and facets.text_chars is None and facets.is_json is None


@pytest.mark.parametrize(
    "outcome",
    [
        answered(chat("no"), status_code=400),
        answered(chat("large"), body_blob="answers/1"),
        answered(b"no json"),
        answered([1]),
        answered(b'{"choices": [' + b"[" * 3_000),
    ],
)
def test_what_cannot_be_known_is_null(outcome: e.Outcome):
    assert facets_of(outcome) == NO_FACETS


def test_a_body_of_any_shape_is_taken():
    assert facets_of(answered(chat("x", finish_reason=7))).finish_reason is None
    assert facets_of(answered(chat("x", finish_reason="y" * 500))).finish_reason == "y" * FINISH_CHARS_MAX
    assert facets_of(answered({"model": 5, "choices": [5]})).model is None
