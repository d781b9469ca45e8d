"""Questions that are answered at once: whole, in pieces, and refused."""

from __future__ import annotations

import json
from typing import Any

import openai

from tests.conformance.cases.server import CHAT, CHAT_ENDPOINT, JSON, Server, refused

MESSAGES = [{"role": "user", "content": "one two"}]
TEXT = "[simulated] one two"


def a_chat_is_answered_whole(server: Server) -> None:
    answer = server.client.chat.completions.create(model=CHAT, messages=MESSAGES)
    assert answer.choices[0].message.content == TEXT
    assert answer.usage.completion_tokens == 3


def a_chat_comes_in_pieces_that_add_up(server: Server) -> None:
    stream = server.client.chat.completions.create(
        model=CHAT, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.total_tokens == 5


def a_completion_comes_whole_and_in_pieces(server: Server) -> None:
    assert server.client.completions.create(model=CHAT, prompt="one two").choices[0].text == TEXT
    lenient = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none")  # the strict type has no null finish_reason
    with lenient:
        pieces = lenient.completions.create(model=CHAT, prompt="one two", stream=True)
        assert "".join(piece.choices[0].text for piece in pieces) == TEXT


def a_response_comes_whole_and_in_events(server: Server) -> None:
    assert server.client.responses.create(model=CHAT, input="one two").output_text == TEXT
    events: list[Any] = list(server.client.responses.create(model=CHAT, input="one two", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == TEXT
    assert events[-1].type == "response.completed"
    assert events[-1].response.output[0].content[0].text == TEXT


def embeddings_scores_and_ranks_come_at_once(server: Server) -> None:
    found = server.client.embeddings.create(model=CHAT, input=["a", "b"], encoding_format="float")
    assert [len(each.embedding) for each in found.data] == [8, 8]
    for path, body in (
        ("/v1/score", {"text_1": "a", "text_2": ["x", "y"]}),
        ("/v1/rerank", {"query": "a", "documents": ["x", "y"]}),
    ):
        answer = server.raw("POST", path, json.dumps({"model": CHAT, **body}).encode(), JSON)
        assert answer.status == 200, answer.body
        assert len(answer.json.get("data") or answer.json["results"]) == 2


def a_stream_is_framed_as_server_sent_events(server: Server) -> None:
    body = json.dumps({"model": CHAT, "messages": MESSAGES, "stream": True}).encode()
    answer = server.raw("POST", CHAT_ENDPOINT, body, JSON)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-request-id"].startswith("req_")
    events = answer.body.split(b"\n\n")
    assert events[-2:] == [b"data: [DONE]", b""]
    assert all(event.startswith(b"data: {") for event in events[:-2])


def what_cannot_be_answered_is_refused_as_openai_does(server: Server) -> None:
    with refused(openai.NotFoundError, code="model_not_found", param="model"):
        server.client.chat.completions.create(model="absent", messages=MESSAGES)
    with refused(openai.BadRequestError, code="missing_required_parameter", param="model"):
        server.client.post("/chat/completions", cast_to=object, body={"messages": MESSAGES})
    with refused(openai.BadRequestError, code="unsupported_endpoint", param="model"):
        server.client.embeddings.create(model="org/model:v1", input="a")
