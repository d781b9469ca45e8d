import json

import pytest

from vbatch.console.core.new_batch import SAMPLE, Misfilled, create_body, endpoint_of, read_draft, read_priority
from vbatch.console.core.snippets import create_snippets


def test_the_first_line_names_the_endpoint():
    assert endpoint_of(b'{"custom_id": "1", "url": "/v1/embeddings"}') == "/v1/embeddings"
    assert endpoint_of(b'\xef\xbb\xbf{"url": "/v1/score"}') == "/v1/score"


@pytest.mark.parametrize("line", [b"", b"no json", b'{"url": 7}', b'{"url": "/v1/nothing"}', b"\xff"])
def test_a_first_line_that_names_none_is_checked_as_a_chat(line):
    assert endpoint_of(line) == "/v1/chat/completions"


def test_what_is_no_choice_of_the_form_falls_back_to_the_usual():
    draft = read_draft({"endpoint": "/etc/passwd", "window": "9y", "priority": "x", "name": " n "})
    assert (draft.endpoint, draft.window, draft.priority, draft.name) == ("", "24h", 0, "n")


@pytest.mark.parametrize("text", ["101", "-101", "many", "1.5"])
def test_a_priority_out_of_bounds_is_said(text):
    with pytest.raises(Misfilled, match="from -100 to 100"):
        read_priority(text)


def test_the_form_becomes_the_ask_of_the_api():
    fields = {
        "file_id": "file-1",
        "idempotency_key": "k",
        "endpoint": "/v1/embeddings",
        "window": "6h",
        "name": "pilot",
    }
    assert create_body(fields) == {
        "input_file_id": "file-1",
        "endpoint": "/v1/embeddings",
        "completion_window": "6h",
        "priority": 0,
        "metadata": {"name": "pilot"},
    }
    with pytest.raises(Misfilled):
        create_body({"file_id": "file-1"})


def test_the_sample_is_three_requests_for_one_model():
    lines = [json.loads(line) for line in SAMPLE.splitlines()]
    assert len({line["custom_id"] for line in lines}) == 3 and {line["body"]["model"] for line in lines} == {"MODEL"}


def test_a_snippet_quotes_the_name_of_the_file_and_holds_no_key():
    texts = [each.text for each in create_snippets("http://h", "it's; rm -rf.jsonl", "/v1/embeddings", "1h", 5)]
    assert "'it'\"'\"'s; rm -rf.jsonl'" in texts[0] and "--priority 5" in texts[0]
    assert all("sk-" not in text for text in texts) and '"priority": 5' in texts[2]
