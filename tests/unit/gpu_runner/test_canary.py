"""What an engine says before it sleeps and after it woke, and whether that is the same."""

from __future__ import annotations

import pytest

from vbatch.contracts.ids import ModelId
from vbatch.gpu_runner.core.canary import Canary, agree, canary_in, canary_question

TOKEN = b'{"choices":[{"text":" Paris","token_ids":[7042],"logprobs":{"tokens":[" Paris"],"token_logprobs":[-0.25]}}]}'


def test_a_chat_model_is_asked_for_one_token_and_its_probability():
    endpoint, body = canary_question(ModelId("small"), ["/v1/chat/completions"])
    assert endpoint == "/v1/completions"
    assert b'"max_tokens":1' in body and b'"temperature":0' in body and b'"logprobs":1' in body


def test_an_embedding_model_is_asked_for_an_embedding():
    assert canary_question(ModelId("small"), ["/v1/embeddings"])[0] == "/v1/embeddings"
    assert canary_in(b'{"data":[{"embedding":[0.5,0.25]}]}') == Canary("", (0.5, 0.25))


def test_the_token_is_named_by_its_id():
    assert canary_in(TOKEN) == Canary("7042", (-0.25,))


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b'{"choices":[]}', b'{"error":{"message":"x"}}'])
def test_an_answer_without_a_token_is_no_canary(answer: bytes):
    assert canary_in(answer) is None


@pytest.mark.parametrize(
    ("after", "is_same"),
    [
        (Canary("7042", (-0.2509,)), True),
        (Canary("7042", (-0.252,)), False),
        (Canary("7043", (-0.25,)), False),
        (Canary("7042", ()), False),
        (Canary("7042", (float("nan"),)), False),
    ],
)
def test_only_the_same_token_with_about_the_same_probability_agrees(after: Canary, is_same: bool):
    assert agree(Canary("7042", (-0.25,)), after) is is_same
