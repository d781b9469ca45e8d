"""Answers of llama.cpp's server (0.4.0), recorded: what a runner reads of them, and what it passes on."""

from __future__ import annotations

import pytest

from vbatch.contracts.events import Flaw, Usage
from vbatch.contracts.ids import SliceId
from vbatch.gpu_runner.adapters.engine.http.client import progress_in, stats_in
from vbatch.gpu_runner.core.answers import outcome_of
from vbatch.gpu_runner.core.feed import Request
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.retrying import Tries

CHAT_ANSWER = (
    b'{"choices":[{"finish_reason":"length","index":0,"message":{"role":"assistant","content":"Hello, I\'s"}}],'
    b'"created":1795995948,"model":"HuggingFaceTB/SmolLM2-135M-Instruct","system_fingerprint":"b1-5b4ebc5",'
    b'"object":"chat.completion","usage":{"completion_tokens":4,"prompt_tokens":31,"total_tokens":35,'
    b'"prompt_tokens_details":{"cached_tokens":24}},"id":"chatcmpl-cnhSM7K7jCj9MHs7BJQvSTTerO5AMd4X","timings":'
    b'{"cache_n":24,"prompt_n":7,"prompt_ms":50.814,"prompt_per_token_ms":7.259142857142857,"prompt_per_second":'
    b'137.75731097728973,"predicted_n":4,"predicted_ms":71.142,"predicted_per_token_ms":23.714,"predicted_per_second":'
    b"42.16918276123809}}"
)
CUT_RESPONSE = (
    b'{"completed_at":1795995948,"created_at":1795995948,"id":"resp_ih0zSR1AeCr432JUkeZwBxwzJAjK89PI","model":'
    b'"HuggingFaceTB/SmolLM2-135M-Instruct","object":"response","output":[{"content":[{"type":"output_text",'
    b'"annotations":[],"logprobs":[],"text":"Hello there, welcome"}],"id":"msg_xUQy0rtDHsF4l6XQBkeVKbD7T4JzO4vh",'
    b'"role":"assistant","status":"completed","type":"message"}],"status":"completed","usage":{"input_tokens":32,'
    b'"output_tokens":4,"total_tokens":36,"input_tokens_details":{"cached_tokens":24}}}'
)
TOO_LONG = (
    b'{"error":{"code":400,"message":"request (4031 tokens) exceeds the available context size (2048 tokens), try '
    b'increasing it","type":"exceed_context_size_error","n_prompt_tokens":4031,"n_ctx":2048}}'
)
NO_IMAGES = (
    b'{"error":{"code":500,"message":"image input is not supported - hint: if this is unexpected, you may need to '
    b'provide the mmproj","type":"server_error"}}'
)
NO_EMBEDDINGS = (
    b'{"error":{"code":501,"message":"This server does not support embeddings. Start it with `--embeddings`","type":'
    b'"not_supported_error"}}'
)
METRICS_AT_REST = b"""\
# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed, excluding cached tokens
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 32
# HELP llamacpp:tokens_predicted_total Number of generation tokens processed
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total 100
# HELP llamacpp:n_decode_total Total number of llama_decode() calls
# TYPE llamacpp:n_decode_total counter
llamacpp:n_decode_total 104
# HELP llamacpp:requests_processing Number of requests processing.
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 1
"""
METRICS_AFTER_ELEVEN_STEPS = METRICS_AT_REST.replace(b"n_decode_total 104", b"n_decode_total 115")
"""In the middle of one answer only the steps have grown, not the tokens."""


def asked(endpoint: str) -> Request:
    return Request(SliceId("s1"), 1, "a", endpoint, b"{}")


def test_usage_and_cut_answers_are_read_as_those_of_vllm():
    outcome = outcome_of(asked("/v1/chat/completions"), 200, CHAT_ANSWER, 0.1)
    assert bytes(outcome.body) == CHAT_ANSWER
    assert outcome.usage == Usage(input_tokens=31, output_tokens=4, cached_tokens=24)
    assert outcome.flaws == (Flaw.CUT,)


def test_a_response_that_its_limit_cut_says_that_it_is_complete():
    outcome = outcome_of(asked("/v1/responses"), 200, CUT_RESPONSE, 0.1)
    assert outcome.usage == Usage(input_tokens=32, output_tokens=4, cached_tokens=24)
    assert outcome.flaws == (), "nothing in this answer says that it was cut"


@pytest.mark.parametrize(
    ("status_code", "body", "tries"), [(400, TOO_LONG, 0), (501, NO_EMBEDDINGS, 0), (500, NO_IMAGES, 2)]
)
def test_errors_are_passed_on_and_only_a_500_is_tried_again(status_code: int, body: bytes, tries: int):
    outcome = outcome_of(asked("/v1/chat/completions"), status_code, body, 0.1)
    assert (outcome.status_code, bytes(outcome.body)) == (status_code, body)
    counted = Tries()
    pauses = [counted.pause_before_next(status_code, None, Limits(broken_retries_max=2)) for _ in range(tries + 1)]
    assert [pause is not None for pause in pauses] == [True] * tries + [False]


def test_steps_are_progress_while_no_request_has_ended():
    before, after = progress_in(METRICS_AT_REST), progress_in(METRICS_AFTER_ELEVEN_STEPS)
    assert before is not None and after is not None and before != after


def test_its_metrics_say_nothing_about_room():
    assert stats_in(METRICS_AT_REST) is None
