"""LangChain's ChatOpenAI, with `base_url` set."""

from __future__ import annotations

import openai
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from tests.clients.python.telling import ANSWER, CITY, MODEL, QUESTION, tell


class City(BaseModel):
    """A city and how many live there."""

    name: str
    people: int


@tool  # type: ignore[untyped-decorator,unused-ignore]  # the library is not in this environment
def look_up(city: str) -> str:
    """Look a city up."""
    return city


def model_at(base_url: str, model: str = MODEL) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=base_url, api_key=SecretStr("none"), max_retries=0)


def chat(base_url: str) -> None:
    answer = model_at(base_url).invoke(QUESTION)
    assert answer.content == ANSWER
    assert answer.usage_metadata is not None and answer.usage_metadata["output_tokens"] == 3


def stream(base_url: str) -> None:
    pieces = list(model_at(base_url).stream(QUESTION))
    assert "".join(str(piece.content) for piece in pieces) == ANSWER
    assert len([piece for piece in pieces if piece.content]) == 3


def tool_call(base_url: str) -> None:
    answer = model_at(base_url).bind_tools([look_up], tool_choice="required").invoke(QUESTION)
    [call] = answer.tool_calls
    assert (call["name"], call["args"]) == ("look_up", {"city": "[simulated]"})


def json_schema(base_url: str) -> None:
    city = model_at(base_url).with_structured_output(City, method="json_schema").invoke(QUESTION)
    assert city == City.model_validate(CITY)


def refusal(base_url: str) -> None:
    try:
        model_at(base_url, "absent").invoke(QUESTION)
    except openai.NotFoundError as error:
        assert error.code == "model_not_found"
    else:
        raise AssertionError("a model that is not there answered")


if __name__ == "__main__":
    tell((chat, stream, tool_call, json_schema, refusal))
