from __future__ import annotations

import asyncio
import base64
import struct
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from openai import AsyncOpenAI
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from pydantic import TypeAdapter

from vbatch.gpu_runner.simulated.answers import Reply, reply
from vbatch.gpu_runner.simulated.options import parse
from vbatch.gpu_runner.simulated.server import Connection, Simulation

OPTIONS = parse(["--model", "m", "--token-seconds", "0.5"])
OPTIONS_AT_ONCE = parse(["--model", "m"])


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


STRICT: list[tuple[str, dict[str, Any], Any]] = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi there"}], "n": 2}, ChatCompletion),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}, ChatCompletion),
    ("/v1/completions", {"prompt": ["hi there", "hello"], "n": 2}, Completion),
    ("/v1/responses", {"input": "hi there"}, Response),
    ("/v1/responses", {"input": [{"role": "user", "content": "hi there"}], "max_output_tokens": 1}, Response),
    ("/v1/embeddings", {"input": ["hi", "there"]}, CreateEmbeddingResponse),
]


@pytest.mark.parametrize(("path", "body", "shape"), STRICT)
def test_an_answer_is_what_the_official_clients_types_say(path: str, body: dict[str, Any], shape: Any):
    """Every field that they require, in its type; the client itself would let anything pass."""
    parsed = TypeAdapter(shape).validate_json(answer(path, body).body, strict=True)
    assert parsed.model == "m" and parsed.usage.total_tokens > 0


SCORES = {"id": str, "object": "list", "created": int, "model": "m", "data": list, "usage": dict}
RANKING = {"id": str, "model": "m", "results": list, "usage": dict}


@pytest.mark.parametrize(
    ("path", "body", "fields", "rows", "row"),
    [
        (
            "/v1/score",
            {"text_1": "hi", "text_2": ["there"]},
            SCORES,
            "data",
            {"index": int, "object": str, "score": float},
        ),
        (
            "/v1/rerank",
            {"query": "hi", "documents": ["there"]},
            RANKING,
            "results",
            {"index": int, "document": dict, "relevance_score": float},
        ),
    ],
)
def test_scores_have_the_fields_of_vllms_own_models(
    path: str, body: dict[str, Any], fields: dict[str, Any], rows: str, row: dict[str, type]
):
    document = msgspec.json.decode(answer(path, body).body)
    for name, kind in fields.items():
        assert isinstance(document[name], kind) if isinstance(kind, type) else document[name] == kind
    assert document["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    [found] = document[rows]
    assert {name: type(value) for name, value in found.items()} == row


def test_a_completion_has_its_choices_for_each_prompt():
    document = msgspec.json.decode(answer("/v1/completions", {"prompt": ["a", "b"], "n": 3}).body)
    assert [choice["index"] for choice in document["choices"]] == list(range(6))


def test_an_answer_that_its_limit_cut_says_so():
    chat = {"messages": [{"role": "user", "content": "one two"}]}
    whole, cut = (
        msgspec.json.decode(answer("/v1/chat/completions", chat | more).body) for more in ({}, {"max_tokens": 2})
    )
    assert [each["choices"][0]["finish_reason"] for each in (whole, cut)] == ["stop", "length"]
    response = msgspec.json.decode(answer("/v1/responses", {"input": "one two", "max_output_tokens": 2}).body)
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


@pytest.mark.parametrize("more", [{}, {"dimensions": 3}])
def test_an_embedding_in_base64_equals_the_one_in_numbers(more: dict[str, int]):
    floats, packed = (
        msgspec.json.decode(answer("/v1/embeddings", {"input": "hi", "encoding_format": form} | more).body)
        for form in ("float", "base64")
    )
    vector = floats["data"][0]["embedding"]
    assert len(vector) == more.get("dimensions", 8)
    assert list(struct.unpack(f"<{len(vector)}f", base64.b64decode(packed["data"][0]["embedding"]))) == vector


@pytest.mark.parametrize(("given", "rows"), [([1, 2, 3], 1), ([[1, 2], [3]], 2), ("text", 1), (["a", "b"], 2)])
def test_one_list_of_tokens_is_one_input(given: Any, rows: int):
    assert len(msgspec.json.decode(answer("/v1/embeddings", {"input": given}).body)["data"]) == rows


async def test_the_official_client_takes_every_answer_strictly_and_decodes_its_embeddings(tmp_path: Path):
    socket = tmp_path / "simulated.sock"
    simulation = Simulation(OPTIONS_AT_ONCE)
    server = await asyncio.get_running_loop().create_unix_server(lambda: Connection(simulation), socket)
    transport = httpx2.AsyncHTTPTransport(uds=str(socket))
    async with (
        server,
        httpx2.AsyncClient(transport=transport) as http,
        AsyncOpenAI(base_url="http://x/v1", api_key="x", http_client=http, _strict_response_validation=True) as client,
    ):
        chat = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        completion = await client.completions.create(model="m", prompt="hi")
        response = await client.responses.create(model="m", input="hi")
        floats = await client.embeddings.create(model="m", input="hi", encoding_format="float")
        # It asks for base64 by itself, which its own strict type does not know.
        lenient = AsyncOpenAI(base_url="http://x/v1", api_key="x", http_client=http)
        packed = await lenient.embeddings.create(model="m", input="hi")
    assert chat.choices[0].message.content == completion.choices[0].text == response.output_text == "[simulated] hi"
    assert packed.data[0].embedding == floats.data[0].embedding


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
