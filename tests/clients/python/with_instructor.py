"""Instructor around the official client: an answer is a typed object."""

from __future__ import annotations

import instructor
from openai import OpenAI
from pydantic import BaseModel

from tests.clients.python.telling import ANSWER, CITY, MODEL, QUESTION, tell

MESSAGES = [{"role": "user", "content": QUESTION}]


class City(BaseModel):
    name: str
    people: int


def client_of(base_url: str, mode: instructor.Mode) -> instructor.Instructor:
    return instructor.from_openai(OpenAI(base_url=base_url, api_key="none", max_retries=0), mode=mode)


def chat(base_url: str) -> None:
    answer = client_of(base_url, instructor.Mode.TOOLS).create(model=MODEL, messages=MESSAGES, response_model=None)
    assert answer.choices[0].message.content == ANSWER


def stream(base_url: str) -> None:
    client = client_of(base_url, instructor.Mode.JSON_SCHEMA)
    cities = list(client.create_partial(model=MODEL, messages=MESSAGES, response_model=City))
    assert cities[-1].model_dump() == CITY


def tool_call(base_url: str) -> None:
    city = client_of(base_url, instructor.Mode.TOOLS).create(model=MODEL, messages=MESSAGES, response_model=City)
    assert city.model_dump() == CITY


def json_schema(base_url: str) -> None:
    client = client_of(base_url, instructor.Mode.JSON_SCHEMA)
    assert client.create(model=MODEL, messages=MESSAGES, response_model=City).model_dump() == CITY


if __name__ == "__main__":
    tell((chat, stream, tool_call, json_schema))
