"""The simulator's answers: they depend only on the request, so they repeat, and each says that it is simulated.

A body may carry `"simulate": {…}` to ask for a delay, a status, an oversized or broken answer, a hang or a crash.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import msgspec

from vbatch.contracts.endpoints import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RERANK, RESPONSES, SCORE
from vbatch.contracts.lane import TOKENIZE
from vbatch.gpu_runner.simulated.options import Options
from vbatch.gpu_runner.simulated.schema_instance import Schema, instance_of
from vbatch.gpu_runner.simulated.streaming import can_stream, events_of

FINGERPRINT = "simulated"
PREFIX_WORDS = ("[simulated]",)
EMBEDDING_DIMENSIONS, EMBEDDING_DIMENSIONS_MAX = 8, 4096
CREATED = 1_893_456_000
"""A fixed time, so that answers repeat."""

Json = object
Build = Callable[["Body", list[str], "Words"], dict[str, Json]]


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


@dataclass(frozen=True, slots=True)
class Words:
    """The words generated for one choice; `is_cut` if the request's token limit ended it."""

    text: str
    is_cut: bool

    @property
    def finish_reason(self) -> str:
        return "length" if self.is_cut else "stop"


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


@dataclass(frozen=True, slots=True)
class Reply:
    """`tokens` counts the generated ones, `seconds` is the time the answer takes once it runs."""

    status: int
    body: bytes
    prompt_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    hangs: bool = False
    crashes: bool = False
    is_too_big: bool = False
    retry_after: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    events: tuple[bytes, ...] = ()
    """The answer as server-sent events; empty for one that is not streamed."""


_DECODER = msgspec.json.Decoder(Body)


def reply(path: str, raw: bytes, options: Options) -> tuple[Reply, Steer]:
    """Return the answer to one POST and what the request asked of the simulator."""
    if path == TOKENIZE:
        return _tokenized(raw), Steer()
    build = BUILDERS.get(path)
    if build is None:
        return error(404, f"The simulator does not serve {path}."), Steer()
    try:
        body = _DECODER.decode(raw)
    except msgspec.DecodeError as fault:
        return error(400, f"The simulator cannot read this request: {fault}"), Steer()
    if body.model != options.model:
        return error(404, f"The model `{body.model}` does not exist."), body.simulate
    return _answer(build, body, options), body.simulate


def _tokenized(raw: bytes) -> Reply:
    """Count the words of a prompt, which are the tokens of the simulator."""
    try:
        count = len(_prompt_text(_DECODER.decode(raw)).split())
    except msgspec.DecodeError as fault:
        return error(400, f"The simulator cannot read this request: {fault}")
    return Reply(200, msgspec.json.encode({"count": count, "max_model_len": 4096, "tokens": list(range(count))}))


def error(status: int, message: str) -> Reply:
    kind = "invalid_request_error" if status < 500 else "server_error"
    fault = {"message": f"[simulated] {message}", "type": kind, "param": None, "code": status}
    return Reply(status, msgspec.json.encode({"error": fault}))


def _answer(build: Build, body: Body, options: Options) -> Reply:
    steer = body.simulate
    prompt = _prompt_text(body).split()
    whole = [*PREFIX_WORDS, *prompt]
    words = _answer_words(body, whole, options)
    tokens = 0 if build in WITHOUT_TOKENS else len(words) * _choice_count(body)
    latency = options.latency_seconds if steer.latency_seconds is None else steer.latency_seconds
    seconds = latency + options.token_seconds * tokens
    is_too_big = 0 < steer.oom_above_seqs < options.max_num_seqs
    timed = Reply(
        steer.status,
        b"",
        seconds=seconds,
        hangs=steer.hang,
        crashes=steer.crash,
        is_too_big=is_too_big,
        headers=_headers(steer),
    )
    if steer.not_json:
        return replace(timed, body=b"<html>simulated, and no JSON</html>")
    if steer.status >= 400:
        return replace(timed, body=error(steer.status, "An error was asked for." + "e" * steer.error_bytes).body)
    answer = build(body, prompt, Words(" ".join(words) + "x" * steer.answer_bytes, is_cut=len(words) < len(whole)))
    answer["usage"] = _usage(build, len(prompt), tokens if steer.tokens is None else steer.tokens)
    _lengthen(answer, steer)
    counted = replace(timed, prompt_tokens=len(prompt), tokens=tokens)
    if body.stream and can_stream(answer):
        includes_usage = body.stream_options is not None and body.stream_options.include_usage is True
        return replace(counted, events=events_of(answer, includes_usage=includes_usage))
    return replace(counted, body=msgspec.json.encode(answer))


def _headers(steer: Steer) -> Mapping[str, str]:
    return steer.headers | ({"x-long": "h" * steer.header_bytes} if steer.header_bytes else {})


def _lengthen(answer: dict[str, Json], steer: Steer) -> None:
    """Imitate a model that repeats itself in place of a name."""
    choices = answer.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if steer.finish_reason_bytes:
            choice["finish_reason"] = "r" * steer.finish_reason_bytes
        if steer.tool_name_bytes and "message" in choice:
            function = {"name": "t" * steer.tool_name_bytes, "arguments": "{}"}
            calls = [{"id": "call_1", "type": "function", "function": function}]
            choice["message"] = choice["message"] | {"tool_calls": calls}


def _answer_words(body: Body, whole: list[str], options: Options) -> list[str]:
    asked = body.max_completion_tokens or body.max_tokens or body.max_output_tokens
    limit = asked or options.answer_tokens
    return whole[: max(limit, len(PREFIX_WORDS))]


def _choice_count(body: Body) -> int:
    """Return the number of choices: `n` for each prompt; a completion may have several prompts."""
    prompts = len(_inputs(body.prompt)) if body.prompt else 1
    return (body.n or 1) * prompts


def _inputs(value: Json) -> list[Json]:
    """Return a list of texts or lists of tokens; a single one becomes a list of one."""
    is_several = isinstance(value, list) and bool(value) and isinstance(value[0], (str, list))
    return cast(list[Json], value) if is_several else [value]


def _prompt_text(body: Body) -> str:
    if body.messages:
        return " ".join(_text(message.get("content", "")) for message in body.messages)
    return _text(body.prompt or body.input or [*_left_texts(body), *_right_texts(body)])


def _text(value: Json) -> str:
    """Return the words in a string, a list of strings, or a list of content parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " ".join(_text(part) for part in value)
    if isinstance(value, Mapping):
        return _text(value.get("text") or value.get("content") or "")
    return str(value)


def _usage(build: Build, prompt_tokens: int, tokens: int) -> dict[str, Json]:
    total = prompt_tokens + tokens
    if build in WITHOUT_TOKENS:
        return {"prompt_tokens": prompt_tokens, "total_tokens": total}
    if build is _responses:
        return {
            "input_tokens": prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": total,
        }
    return {"prompt_tokens": prompt_tokens, "completion_tokens": tokens, "total_tokens": total}


def _chat(body: Body, prompt: list[str], words: Words) -> dict[str, Json]:
    message: dict[str, Json] = {"role": "assistant", "content": words.text, "refusal": None}
    finish_reason = words.finish_reason
    if (function := _forced_function(body)) is not None:
        arguments = msgspec.json.encode(instance_of(cast(Schema, function.get("parameters", {})))).decode()
        called = {"name": function["name"], "arguments": arguments}
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": called}]}
        finish_reason = "tool_calls" if body.tool_choice == "required" else "stop"
    elif (schema := _wanted_schema(body)) is not None:
        message["content"] = msgspec.json.encode(instance_of(schema, chance=int(_name(prompt), 16))).decode()
        finish_reason = "stop"
    choice = {"message": message, "logprobs": None, "finish_reason": finish_reason}
    choices = [{"index": i} | choice for i in range(body.n or 1)]
    return _frame("chatcmpl", "chat.completion", body, prompt) | {"choices": choices}


def _forced_function(body: Body) -> Mapping[str, Json] | None:
    """The function that must be called: the one that is named, or the first if any must be."""
    functions = [cast(Mapping[str, Json], tool.get("function", {})) for tool in body.tools or ()]
    if body.tool_choice == "required":
        return functions[0] if functions else None
    if isinstance(body.tool_choice, Mapping):
        name = cast(Mapping[str, Json], body.tool_choice.get("function", {})).get("name")
        return next((function for function in functions if function.get("name") == name), None)
    return None


def _wanted_schema(body: Body) -> Schema | None:
    """The schema that the answer must have; `{}` for any object."""
    match body.response_format:
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema}}:
            return cast(Schema, schema)
        case {"type": "json_object"}:
            return {"type": "object", "properties": {}}
        case _:
            return None


def _completions(body: Body, prompt: list[str], words: Words) -> dict[str, Json]:
    choice = {"text": words.text, "logprobs": None, "finish_reason": words.finish_reason}
    choices = [{"index": i} | choice for i in range(_choice_count(body))]
    return _frame("cmpl", "text_completion", body, prompt) | {"choices": choices}


def _responses(body: Body, prompt: list[str], words: Words) -> dict[str, Json]:
    """Build a response with every key of OpenAI's own, without tools, storage and reasoning."""
    frame = _frame("resp", "response", body, prompt)
    frame["created_at"] = frame.pop("created")
    status = "incomplete" if words.is_cut else "completed"
    content: Json = [{"type": "output_text", "text": words.text, "annotations": [], "logprobs": None}]
    message = {"type": "message", "id": f"msg_{_name(prompt)}", "role": "assistant", "status": status}
    return frame | {
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if words.is_cut else None,
        "instructions": None,
        "max_output_tokens": body.max_output_tokens,
        "metadata": {},
        "output": [message | {"content": content}],
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "none",
        "tools": [],
        "top_p": None,
    }


def _embeddings(body: Body, prompt: list[str], _words: Words) -> dict[str, Json]:
    rows = [
        {"object": "embedding", "index": i, "embedding": _encoded(_vector(_text(item), body), body)}
        for i, item in enumerate(_inputs(body.input))
    ]
    return _frame("embd", "list", body, prompt) | {"data": rows, "simulated": True}


def _encoded(vector: list[float], body: Body) -> Json:
    """Encode as numbers, or as base64 of little-endian 32-bit floats; every number here is exact in those."""
    if body.encoding_format != "base64":
        return cast(Json, vector)
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _score(body: Body, prompt: list[str], _words: Words) -> dict[str, Json]:
    rows = [{"index": i, "object": "score", "score": item} for i, item in enumerate(_scores(body))]
    return _frame("score", "list", body, prompt) | {"data": rows, "simulated": True}


def _rerank(body: Body, prompt: list[str], _words: Words) -> dict[str, Json]:
    """Rank best first, as vLLM does; `top_n` 0 or missing: all."""
    pairs = zip(_scores(body), _right_texts(body), strict=False)
    rows = [
        {"index": i, "document": {"text": str(item)}, "relevance_score": one} for i, (one, item) in enumerate(pairs)
    ]
    best = sorted(rows, key=lambda row: (-cast(float, row["relevance_score"]), cast(int, row["index"])))
    return _frame("rerank", "list", body, prompt) | {"results": best[: body.top_n or None], "simulated": True}


def _scores(body: Body) -> list[float]:
    """Compare one left text with each right one; otherwise compare them in pairs."""
    left, right = _left_texts(body), _right_texts(body)
    left = left * len(right) if len(left) == 1 else left
    return [round(_digest(f"{one}|{other}")[0] / 255, 4) for one, other in zip(left, right, strict=False)]


def _left_texts(body: Body) -> list[Json]:
    return _listed(body.text_1 or body.data_1 or body.queries or body.query)


def _right_texts(body: Body) -> list[Json]:
    return _listed(body.text_2 or body.data_2 or body.documents or body.items)


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value] if value else []


def _frame(prefix: str, kind: str, body: Body, prompt: list[str]) -> dict[str, Json]:
    return {
        "id": f"{prefix}-{_name(prompt)}",
        "object": kind,
        "created": CREATED,
        "model": body.model,
        "system_fingerprint": FINGERPRINT,
    }


def _name(prompt: list[str]) -> str:
    return _digest(" ".join(prompt)).hex()


def _vector(text: str, body: Body) -> list[float]:
    """Return numbers from -1 to 127/128 in steps of 1/128; the vector is not normalised."""
    dimensions = min(body.dimensions or EMBEDDING_DIMENSIONS, EMBEDDING_DIMENSIONS_MAX)
    return [(byte - 128) / 128 for byte in hashlib.shake_128(text.encode(errors="replace")).digest(dimensions)]


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=12).digest()


BUILDERS: Mapping[str, Build] = {
    CHAT_COMPLETIONS: _chat,
    COMPLETIONS: _completions,
    RESPONSES: _responses,
    EMBEDDINGS: _embeddings,
    SCORE: _score,
    RERANK: _rerank,
}
WITHOUT_TOKENS = frozenset({_embeddings, _score, _rerank})
"""Builders of answers for which no tokens are generated."""
