"""The simulator's answers: they depend only on the request, so they repeat, and each says that it is simulated.

A body may carry `"simulate": {…}` to ask for a delay, a status, an oversized or broken answer, a hang or a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec.structs import replace

from vbatch.contracts.endpoints import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RERANK, RESPONSES, SCORE
from vbatch.contracts.lane import TOKENIZE
from vbatch.gpu_runner.simulated.generated_answers import Words, chat, completions, responses
from vbatch.gpu_runner.simulated.options import Options
from vbatch.gpu_runner.simulated.pooled_answers import embeddings, rerank, score
from vbatch.gpu_runner.simulated.request_body import Body, Json, Steer, choice_count, prompt_text
from vbatch.gpu_runner.simulated.streaming import can_stream, events_of

PREFIX_WORDS = ("[simulated]",)
Build = Callable[[Body, list[str], Words], dict[str, Json]]
BUILDERS: Mapping[str, Build] = {
    CHAT_COMPLETIONS: chat,
    COMPLETIONS: completions,
    RESPONSES: responses,
    EMBEDDINGS: embeddings,
    SCORE: score,
    RERANK: rerank,
}
WITHOUT_TOKENS = frozenset({embeddings, score, rerank})
"""The builders of answers for which no tokens are generated."""
_DECODER = msgspec.json.Decoder(Body)


class Reply(msgspec.Struct, frozen=True):
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
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    events: tuple[bytes, ...] = ()
    """The answer as server-sent events; empty for one that is not streamed."""


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
        count = len(prompt_text(_DECODER.decode(raw)).split())
    except msgspec.DecodeError as fault:
        return error(400, f"The simulator cannot read this request: {fault}")
    return Reply(200, msgspec.json.encode({"count": count, "max_model_len": 4096, "tokens": list(range(count))}))


def error(status: int, message: str) -> Reply:
    kind = "invalid_request_error" if status < 500 else "server_error"
    fault = {"message": f"[simulated] {message}", "type": kind, "param": None, "code": status}
    return Reply(status, msgspec.json.encode({"error": fault}))


def _answer(build: Build, body: Body, options: Options) -> Reply:
    steer, prompt = body.simulate, prompt_text(body).split()
    words = _words(body, prompt, options)
    tokens = 0 if build in WITHOUT_TOKENS else words.count * choice_count(body)
    timed = _timed(steer, tokens, options)
    if (fault := _fault(steer)) is not None:
        return replace(timed, body=fault)
    answer = build(body, prompt, words)
    answer["usage"] = _usage(build, len(prompt), tokens if steer.tokens is None else steer.tokens)
    _lengthen(answer, steer)
    return _encoded(replace(timed, prompt_tokens=len(prompt), tokens=tokens), answer, body)


def _fault(steer: Steer) -> bytes | None:
    """The body of the fault that was asked for, if one was."""
    if steer.not_json:
        return b"<html>simulated, and no JSON</html>"
    if steer.status >= 400:
        return error(steer.status, "An error was asked for." + "e" * steer.error_bytes).body
    return None


def _timed(steer: Steer, tokens: int, options: Options) -> Reply:
    """The reply without its body: how long it takes, and whether it comes at all."""
    latency = options.latency_seconds if steer.latency_seconds is None else steer.latency_seconds
    return Reply(
        steer.status,
        b"",
        seconds=latency + options.token_seconds * tokens,
        hangs=steer.hang,
        crashes=steer.crash,
        is_too_big=0 < steer.oom_above_seqs < options.max_num_seqs,
        headers=_headers(steer),
    )


def _encoded(reply: Reply, answer: dict[str, Json], body: Body) -> Reply:
    if body.stream and can_stream(answer):
        includes_usage = body.stream_options is not None and body.stream_options.include_usage is True
        return replace(reply, events=events_of(answer, includes_usage=includes_usage))
    return replace(reply, body=msgspec.json.encode(answer))


def _headers(steer: Steer) -> Mapping[str, str]:
    return steer.headers | ({"x-long": "h" * steer.header_bytes} if steer.header_bytes else {})


def _lengthen(answer: dict[str, Json], steer: Steer) -> None:
    """Imitate a model that repeats itself instead of giving a name."""
    choices = answer.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if steer.finish_reason_bytes:
            choice["finish_reason"] = "r" * steer.finish_reason_bytes
        if steer.tool_name_bytes and "message" in choice:
            function = {"name": "t" * steer.tool_name_bytes, "arguments": "{}"}
            calls = [{"id": "call_1", "type": "function", "function": function}]
            choice["message"] = choice["message"] | {"tool_calls": calls}


def _words(body: Body, prompt: list[str], options: Options) -> Words:
    """The prompt again, after a word that says where the answer comes from, up to the token limit."""
    whole = [*PREFIX_WORDS, *prompt]
    asked = body.max_completion_tokens or body.max_tokens or body.max_output_tokens
    kept = whole[: max(asked or options.answer_tokens, len(PREFIX_WORDS))]
    return Words(" ".join(kept) + "x" * body.simulate.answer_bytes, len(kept), is_cut=len(kept) < len(whole))


def _usage(build: Build, prompt_tokens: int, tokens: int) -> dict[str, Json]:
    total = prompt_tokens + tokens
    if build in WITHOUT_TOKENS:
        return {"prompt_tokens": prompt_tokens, "total_tokens": total}
    if build is responses:
        return _usage_of_response(prompt_tokens, tokens)
    return {"prompt_tokens": prompt_tokens, "completion_tokens": tokens, "total_tokens": total}


def _usage_of_response(prompt_tokens: int, tokens: int) -> dict[str, Json]:
    return {
        "input_tokens": prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt_tokens + tokens,
    }
