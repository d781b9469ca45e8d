"""What the simulator reads of a request: the prompt, what is asked of the answer, and what is asked of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from vbatch.gpu_runner.simulated.schema_instance import Schema

Json = object


class Steer(msgspec.Struct, frozen=True):
    """What a single request asks of the simulator."""

    latency_seconds: float | None = None
    status: int = 200
    hang: bool = False
    crash: bool = False
    oom_above_seqs: int = 0
    """Die for lack of memory in an engine that may run more requests than this at once; 0: never."""
    not_json: bool = False
    answer_bytes: int = 0
    busy_count: int = 0
    """Answer `busy_status` to this many tries of the same request first."""
    busy_status: int = 503
    retry_after: str | None = None
    """The Retry-After header of those answers."""
    error_bytes: int = 0
    """The number of bytes to add to an error's text."""
    finish_reason_bytes: int = 0
    tool_name_bytes: int = 0
    """The length of the finish reason and of the name of a called function."""
    tokens: int | None = None
    """The usage that the answer reports, whatever it generated."""
    headers: dict[str, str] = {}
    """Additional headers of the answer, unchanged."""
    header_bytes: int = 0
    """The length of one more header."""


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class Body(msgspec.Struct, frozen=True):
    """The part of a request that the simulator reads."""

    model: str = ""
    messages: list[dict[str, Json]] = []
    prompt: Json = ""
    input: Json = ""
    text_1: Json = ""
    text_2: Json = ""
    query: Json = ""
    queries: Json = ""
    documents: Json = ""
    items: Json = ""
    data_1: Json = ""
    data_2: Json = ""
    top_n: int | None = None
    n: int | None = 1
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    encoding_format: str | None = None
    dimensions: int | None = None
    response_format: Json = None
    tools: list[dict[str, Json]] | None = None
    tool_choice: Json = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    simulate: Steer = Steer()


def choice_count(body: Body) -> int:
    """Return the number of choices: `n` for each prompt; a completion may have several prompts."""
    prompts = len(inputs(body.prompt)) if body.prompt else 1
    return (body.n or 1) * prompts


def inputs(value: Json) -> list[Json]:
    """Return a list of texts or lists of tokens; a single one becomes a list of one."""
    is_several = isinstance(value, list) and bool(value) and isinstance(value[0], (str, list))
    return cast(list[Json], value) if is_several else [value]


def prompt_text(body: Body) -> str:
    if body.messages:
        return " ".join(text_of(message.get("content", "")) for message in body.messages)
    return text_of(body.prompt or body.input or [*left_texts(body), *right_texts(body)])


def text_of(value: Json) -> str:
    """Return the words in a string, a list of strings, or a list of content parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " ".join(text_of(part) for part in value)
    if isinstance(value, Mapping):
        return text_of(value.get("text") or value.get("content") or "")
    return str(value)


def left_texts(body: Body) -> list[Json]:
    return _listed(body.text_1 or body.data_1 or body.queries or body.query)


def right_texts(body: Body) -> list[Json]:
    return _listed(body.text_2 or body.data_2 or body.documents or body.items)


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value] if value else []


def forced_function(body: Body) -> Mapping[str, Json] | None:
    """The function that must be called: the one that is named, or the first if any must be."""
    functions = [cast(Mapping[str, Json], tool.get("function", {})) for tool in body.tools or ()]
    if body.tool_choice == "required":
        return functions[0] if functions else None
    if isinstance(body.tool_choice, Mapping):
        name = cast(Mapping[str, Json], body.tool_choice.get("function", {})).get("name")
        return next((function for function in functions if function.get("name") == name), None)
    return None


def wanted_schema(body: Body) -> Schema | None:
    """The schema that the answer must have; `{}` for any object."""
    match body.response_format:
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema}}:
            return cast(Schema, schema)
        case {"type": "json_object"}:
            return {"type": "object", "properties": {}}
        case _:
            return None
