"""What a support bundle keeps of a log line, and what it masks."""

from __future__ import annotations

import json

import pytest

from vbatch.gateway.core.log_lines import Scalar, ServiceLine
from vbatch.gateway.core.support_bundle import MASK, json_file, logs_file, masked, outline

PROMPT = "Write a poem about my grandmother Ada"


def told(**details: Scalar) -> dict[str, object]:
    line = ServiceLine("2030-01-01T00:00:00Z", "gateway", "warning", "request_answered", details)
    found: dict[str, object] = json.loads(logs_file("logs.jsonl", [line]).text)
    return found


def test_ids_numbers_and_words_of_closed_lists_are_kept():
    kept: dict[str, Scalar] = {
        "batch_id": "batch_01",
        "status": 503,
        "seconds": 1.5,
        "model": "org/model:v1",
        "is_retried": True,
    }
    assert kept.items() <= told(**kept).items()


@pytest.mark.parametrize("name", ["reason", "error", "detail", "url", "custom_id", "filename", "owner", "model"])
def test_free_text_leaves_only_its_length(name: str):
    assert told(**{name: PROMPT})[name] == f"[{len(PROMPT)} characters left out]"


def test_a_word_of_a_client_is_left_out_although_its_key_looks_like_an_id():
    assert "grandmother" not in str(told(custom_id="grandmother"))


def test_of_an_error_its_kind_stays():
    assert outline(f"ValueError: {PROMPT}") == f"ValueError: [{len(PROMPT) + 12} characters left out]"
    assert outline("") == ""


@pytest.mark.parametrize(
    "text",
    [
        "sk-vb-0aB1cD2e_0123456789abcdef0123456789abcdef",
        "Bearer abc.def-ghi_jkl",
        "hf_abcdefghijKLMNOPqrst",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "SUAKYRHVIOREXV7EUZTBHUHL7NUMHPMAS7QMDU3GTIUWEI5LDNOXD43IZY",
        "postgresql://vbatch:pa55word@127.0.0.1/db",
        "https://host/path?token=abcdef&x=1",
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str):
    secret = text.removeprefix("Bearer ").removeprefix("postgresql://").removeprefix("https://host/path?token=")
    secret = secret.partition("@")[0].partition("&")[0]
    assert secret not in masked(f"before {text} after", []) and MASK in masked(text, [])


def test_a_known_secret_is_masked_wherever_it_stands():
    file = json_file("x.json", {"path": "/srv/open-sesame-1/blobs", "deep": [{"word": "open-sesame-1"}]})
    assert "open-sesame-1" not in masked(file.text, ["open-sesame-1"])


def test_a_text_too_short_to_be_a_secret_masks_nothing():
    assert masked("a plain text", ["a", ""]) == "a plain text"
