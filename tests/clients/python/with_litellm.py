"""LiteLLM, with this server as an OpenAI-compatible provider."""

from __future__ import annotations

import json

import litellm
from pydantic import BaseModel

from tests.clients.python.telling import ANSWER, CITY, MODEL, QUESTION, tell

GIVEN = {"model": f"openai/{MODEL}", "api_key": "none", "messages": [{"role": "user", "content": QUESTION}]}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}


class City(BaseModel):
    name: str
    people: int


def chat(base_url: str) -> None:
    answer = litellm.completion(**GIVEN, api_base=base_url)
    assert answer.choices[0].message.content == ANSWER
    assert answer.usage.completion_tokens == 3


def stream(base_url: str) -> None:
    chunks = list(litellm.completion(**GIVEN, api_base=base_url, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER
    assert chunks[-1].choices[0].finish_reason == "stop"


def tool_call(base_url: str) -> None:
    tools = [{"type": "function", "function": {"name": "look_up", "parameters": PARAMETERS}}]
    answer = litellm.completion(**GIVEN, api_base=base_url, tools=tools, tool_choice="required")
    [call] = answer.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("look_up", {"city": "[simulated]"})


def json_schema(base_url: str) -> None:
    answer = litellm.completion(**GIVEN, api_base=base_url, response_format=City)
    assert json.loads(answer.choices[0].message.content) == CITY


def refusal(base_url: str) -> None:
    try:
        litellm.completion(**GIVEN | {"model": "openai/absent"}, api_base=base_url)
    except litellm.NotFoundError as error:
        assert "absent" in str(error)
    else:
        raise AssertionError("a model that is not there answered")


if __name__ == "__main__":
    litellm.suppress_debug_info = True  # it stands on stdout, among the cases
    tell((chat, stream, tool_call, json_schema, refusal))
