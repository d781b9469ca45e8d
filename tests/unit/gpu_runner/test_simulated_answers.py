from __future__ import annotations

from typing import Any

import msgspec
import pytest

from vbatch.gpu_runner.simulated.answers import Reply, reply
from vbatch.gpu_runner.simulated.options import parse

OPTIONS = parse(["--model", "m", "--token-seconds", "0.5"])


def answer(path: str, body: dict[str, Any]) -> Reply:
    return reply(path, msgspec.json.encode({"model": "m", **body}), OPTIONS)[0]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi there"}]}),
        ("/v1/completions", {"prompt": "hi there"}),
        ("/v1/responses", {"input": "hi there"}),
        ("/v1/embeddings", {"input": ["hi there"]}),
        ("/v1/score", {"text_1": "hi", "text_2": ["there"]}),
        ("/v1/score", {"queries": ["hi"], "documents": ["there"]}),
        ("/v1/score", {"queries": ["hi"], "items": ["there"]}),
        ("/v1/score", {"data_1": ["hi"], "data_2": ["there"]}),
        ("/v1/rerank", {"query": "hi", "documents": ["there"]}),
    ],
)
def test_every_answer_repeats_and_says_that_it_is_simulated(path: str, body: dict[str, Any]):
    first = answer(path, body)
    assert first == answer(path, body)
    assert first.status == 200 and first.prompt_tokens == 2
    assert msgspec.json.decode(first.body)["system_fingerprint"] == "simulated"


def test_tokens_are_limited_as_asked_and_take_their_time():
    chat = answer("/v1/completions", {"prompt": "one two three", "max_tokens": 2})
    assert (chat.tokens, chat.seconds) == (2, 1.0)
    assert msgspec.json.decode(chat.body)["choices"][0]["text"] == "[simulated] one"


def test_an_embedding_says_so_and_has_no_output_tokens():
    document = msgspec.json.decode(answer("/v1/embeddings", {"input": ["a", "b"]}).body)
    assert document["simulated"] is True and len(document["data"]) == 2
    assert document["usage"] == {"prompt_tokens": 2, "total_tokens": 2}


def test_a_request_steers_its_own_answer():
    assert answer("/v1/completions", {"prompt": "x", "simulate": {"status": 429}}).status == 429
    assert answer("/v1/completions", {"prompt": "x", "simulate": {"hang": True}}).hangs
    assert answer("/v1/completions", {"prompt": "x", "simulate": {"crash": True}}).crashes
    assert answer("/v1/completions", {"prompt": "x", "simulate": {"not_json": True}}).body.startswith(b"<html>")
    assert len(answer("/v1/completions", {"prompt": "x", "simulate": {"answer_bytes": 5000}}).body) > 5000


@pytest.mark.parametrize(
    ("path", "raw", "status"),
    [
        ("/v1/audio", b"{}", 404),
        ("/v1/completions", b"no json", 400),
        ("/v1/completions", b'{"model":"other"}', 404),
    ],
)
def test_a_wrong_request_gets_openais_envelope(path: str, raw: bytes, status: int):
    wrong = reply(path, raw, OPTIONS)[0]
    assert wrong.status == status
    assert set(msgspec.json.decode(wrong.body)["error"]) == {"message", "type", "param", "code"}


def test_a_query_is_scored_against_each_text():
    found = msgspec.json.decode(answer("/v1/score", {"text_1": "hi", "text_2": ["a", "b", "c"]}).body)
    assert [(row["index"], row["object"]) for row in found["data"]] == [(0, "score"), (1, "score"), (2, "score")]
    assert len({row["score"] for row in found["data"]}) == 3


def test_documents_are_ranked_best_first_and_only_as_many_as_asked():
    documents = ["a", "b", "c", "d"]
    found = msgspec.json.decode(answer("/v1/rerank", {"query": "hi", "documents": documents, "top_n": 3}).body)
    scores = [row["relevance_score"] for row in found["results"]]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)
    assert all(documents[row["index"]] == row["document"]["text"] for row in found["results"])


@pytest.mark.parametrize(
    ("steer", "place"),
    [
        ({"error_bytes": 5_000, "status": 500}, "error"),
        ({"finish_reason_bytes": 5_000}, "choices"),
        ({"tool_name_bytes": 5_000}, "choices"),
    ],
)
def test_an_answer_can_be_steered_to_be_long_where_it_is_short(steer: dict[str, int], place: str):
    found = answer("/v1/chat/completions", {"messages": [], "simulate": steer})
    assert len(msgspec.json.encode(msgspec.json.decode(found.body)[place])) > 5_000


def test_an_answer_can_be_steered_to_say_what_it_took_and_in_which_head():
    steer = {"tokens": 10**12, "header_bytes": 70_000, "headers": {"x-odd": "ü"}}
    found = answer("/v1/chat/completions", {"messages": [], "simulate": steer})
    assert msgspec.json.decode(found.body)["usage"]["completion_tokens"] == 10**12
    assert len(found.headers["x-long"]) == 70_000 and found.headers["x-odd"] == "ü"
