"""The whole stack on real vLLM and the models the project ships with: two batches, one swap, plausible answers."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from openai import OpenAI

from tests.e2e.asking import Line, assert_each_line_once_in_order, ended, jsonl, submit
from tests.support.paths import ROOT
from tests.support.stack import RunningStack, running_stack, wait_until
from vbatch.gpu_runner.core.engine_counters import COUNTERS, GAUGES, engine_counters_in

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]

CHAT = "HuggingFaceTB/SmolLM2-135M-Instruct"
EMBEDDING = "sentence-transformers/all-MiniLM-L6-v2"
EMBEDDING_NUMBERS = 384
END_SECONDS_MAX = 600.0
ENGINE_PYTHON = Path(os.environ.get("VBATCH_GPU_RUNNER_ENGINE_PYTHON", ROOT / ".engine" / "bin" / "python"))


@pytest.fixture(scope="module")
def vllm_stack() -> Iterator[RunningStack]:
    if not ENGINE_PYTHON.exists():
        pytest.skip(f"{ENGINE_PYTHON} has no engine: ./taskw setup:engine")
    engine = {
        "VBATCH_GPU_RUNNER_ENGINE_PYTHON": str(ENGINE_PYTHON),
        "VBATCH_GPU_RUNNER_PREPARE_SCRIPT": str(ROOT / "deploy" / "engine" / "prepare_model.py"),
        "VBATCH_GATEWAY_INTERACTIVE_WAIT_SECONDS": "600",
    }
    with running_stack(ROOT / "models.toml", engine) as running:
        yield running


@pytest.fixture
def client(vllm_stack: RunningStack) -> Iterator[OpenAI]:
    with vllm_stack.client() as made:
        yield made


def chat_line(place: str) -> Line:
    messages = [{"role": "user", "content": f"Tell me the capital of {place}."}]
    body = {"model": CHAT, "messages": messages, "max_tokens": 24, "temperature": 0}
    return {"custom_id": place, "method": "POST", "url": "/v1/chat/completions", "body": body}


def embedding_line(text: str) -> Line:
    body = {"model": EMBEDDING, "input": text}
    return {"custom_id": text, "method": "POST", "url": "/v1/embeddings", "body": body}


def scoring_line(**fields: object) -> Line:
    body = {"model": EMBEDDING, "documents": ["a stock market", "a kitten"], **fields}
    endpoint = "/v1/score" if "queries" in fields else "/v1/rerank"
    return {"custom_id": "a", "method": "POST", "url": endpoint, "body": body}


def test_two_models_take_turns_on_the_device_and_answer_sensibly(client: OpenAI):
    places = [chat_line(place) for place in ("France", "Japan", "Italy", "Spain")]
    texts = [embedding_line(text) for text in ("a cat", "a kitten", "a stock market")]
    chat, embeddings = submit(client, jsonl(places)), submit(client, jsonl(texts), "/v1/embeddings")

    answered = ended(client, chat.id, END_SECONDS_MAX)
    assert_each_line_once_in_order(places, answered)
    assert "Paris" in answered.output[0]["response"]["body"]["choices"][0]["message"]["content"]

    embedded = ended(client, embeddings.id, END_SECONDS_MAX)
    assert_each_line_once_in_order(texts, embedded)
    vectors = [line["response"]["body"]["data"][0]["embedding"] for line in embedded.output]
    assert [len(vector) for vector in vectors] == [EMBEDDING_NUMBERS] * 3
    cat, kitten, market = vectors
    assert product(cat, kitten) > product(cat, market)


def test_a_question_is_streamed_at_once_with_logprobs_and_by_a_schema_beside_a_batch(
    client: OpenAI, vllm_stack: RunningStack
):
    batch = submit(client, jsonl([chat_line(place) for place in ("France", "Japan", "Italy", "Spain")]))
    stream = client.with_options(max_retries=0, timeout=300).chat.completions.create(
        model=CHAT,
        messages=[{"role": "user", "content": "Count from one to ten."}],
        max_tokens=12,
        temperature=0,
        stream=True,
        logprobs=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    words = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(words) > 5, "one piece for each token or so, not one for the whole answer"
    assert all(chunk.choices[0].logprobs for chunk in words)
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 12

    properties = {"capital": {"enum": ["Paris", "Rome"]}}
    schema: dict[str, object] = {"type": "object", "properties": properties, "required": ["capital"]}
    answer = client.chat.completions.create(
        model=CHAT,
        messages=[{"role": "user", "content": "The capital of France as JSON."}],
        max_tokens=40,
        response_format={"type": "json_schema", "json_schema": {"name": "capital", "schema": schema}},
    )
    assert json.loads(answer.choices[0].message.content or "")["capital"] in ("Paris", "Rome")
    assert ended(client, batch.id, END_SECONDS_MAX).batch.status == "completed"

    long = client.chat.completions.create(
        model=CHAT, messages=[{"role": "user", "content": "Count for ever."}], max_tokens=1500, stream=True
    )
    next(iter(long))
    long.close()
    wait_until(lambda: engine_running(vllm_stack) == 0, "the engine has dropped the request", 10)


def engine_running(stack: RunningStack) -> int:
    url = f"http://127.0.0.1:{stack.settings.gpu_runner_port}/metrics/engine"
    with urllib.request.urlopen(url, timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith("vllm:num_requests_running")))


def test_texts_are_scored_and_ranked(client: OpenAI):
    lines = [scoring_line(queries="a cat"), scoring_line(query="a cat")]
    batches = [submit(client, jsonl([line]), cast(Any, line["url"])) for line in lines]  # not among the client's own
    scored, ranked = (ended(client, batch.id, END_SECONDS_MAX).output[0]["response"]["body"] for batch in batches)

    market, kitten = (row["score"] for row in scored["data"])
    assert kitten > market
    assert [row["index"] for row in ranked["results"]] == [1, 0]


def product(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_what_prometheus_is_told_of_the_engine_has_the_names_of_this_vllm(vllm_stack: RunningStack, client: OpenAI):
    ended(client, submit(client, jsonl([chat_line("France")])).id, END_SECONDS_MAX)
    url = f"http://127.0.0.1:{vllm_stack.settings.gpu_runner_port}/metrics/engine"
    with urllib.request.urlopen(url, timeout=30) as answer:
        page = answer.read()
    assert set(engine_counters_in(page).values) == {*GAUGES, *COUNTERS}
    assert b"vllm:time_to_first_token_seconds_bucket" in page
