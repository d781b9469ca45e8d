import json

import pytest

from vbatch.contracts.previews import PREVIEW_CHARS_MAX, answer_preview, request_preview


def request_line(body: object) -> bytes:
    return json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/x", "body": body}).encode()


def output_line(body: object) -> bytes:
    return json.dumps({"custom_id": "a", "response": {"status_code": 200, "body": body}, "error": None}).encode()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]}, "Why?"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}]}]}, "What is it?"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "[image_url]"),
        ({"prompt": "Once upon a time"}, "Once upon a time"),
        ({"input": ["one", "two"]}, "one\ntwo"),
        ({"messages": "not a list"}, None),
        ({"messages": [None, {"content": 7}]}, None),
        ("no object", None),
    ],
)
def test_a_request_is_previewed_by_its_question(body, text):
    assert request_preview(request_line(body)) == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"choices": [{"message": {"content": "Because."}}]}, "Because."),
        ({"choices": [{"text": "there was"}]}, "there was"),
        (
            {
                "choices": [
                    {"message": {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}}
                ]
            },
            "f({})",
        ),
        ({"choices": [{"message": {"content": ""}}]}, ""),
        ({"data": [{"embedding": [0.5, 0.25, 1, 2, 3]}]}, "vector of 5 numbers: 0.5, 0.25, 1, 2, …"),
        ({"output": [{"content": [{"type": "output_text", "text": "Yes."}]}]}, "Yes."),
        ({"results": [1, 2]}, "2 results"),
        ({"error": {"message": "too long"}}, "too long"),
        ({"unknown": True}, None),
    ],
)
def test_an_answer_is_previewed_by_what_the_model_said(body, text):
    assert answer_preview(output_line(body)) == text


def test_a_line_without_an_answer_is_previewed_by_its_error():
    line = json.dumps({"response": None, "error": {"code": "batch_expired", "message": "Too late."}}).encode()
    assert answer_preview(line) == "Too late."


@pytest.mark.parametrize("line", [b"", b"{", b"\xff\xfe", b"[1]", b"[" * 10_000, b'{"body": 3}'])
def test_what_is_no_line_has_no_preview(line):
    assert request_preview(line) is None and answer_preview(line) is None


def test_a_preview_is_bounded():
    preview = request_preview(request_line({"prompt": "x" * 100_000}))
    assert preview is not None and len(preview) == PREVIEW_CHARS_MAX + 1
