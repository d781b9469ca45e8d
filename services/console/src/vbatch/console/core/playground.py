"""One prompt to one model: the form's fields, the request they become, and how the answer's stream is read."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from vbatch.console.core.api_objects import ErrorBody
from vbatch.console.core.new_batch import Misfilled
from vbatch.console.core.snippets import Snippet
from vbatch.contracts.endpoints import CHAT_COMPLETIONS

TEXT_CHARS_MAX = 1 << 20
MODEL_CHARS_MAX = 512
MAX_TOKENS_DEFAULT = 256
MAX_TOKENS_MAX = 1_000_000
TEMPERATURE_MAX = 2.0
CUSTOM_ID = "playground-1"
DATA = b"data:"
DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Prompt:
    """The form as filled in. `max_tokens` and `temperature` are empty if the model's default defaults apply."""

    model: str = ""
    system: str = ""
    user: str = ""
    temperature: str = ""
    max_tokens: str = str(MAX_TOKENS_DEFAULT)
    schema: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The model is not on a device yet."""


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer, or of the reasoning before it."""

    text: str
    is_reasoning: bool = False


@dataclass(frozen=True, slots=True)
class Sum:
    """How the answer ended and its tokens, if the engine reports them."""

    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    words: str


Said = Waiting | Text | Sum | Failed


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int = 0


class _Chunk(msgspec.Struct):
    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: ErrorBody | None = None


def read_prompt(fields: Mapping[str, str]) -> Prompt:
    """Return the form, cut to its bounds; `request_of` reports what is wrong with it."""
    return Prompt(
        model=fields.get("model", "")[:MODEL_CHARS_MAX],
        system=_text(fields, "system"),
        user=_text(fields, "user"),
        temperature=fields.get("temperature", "").strip()[:20],
        max_tokens=fields.get("max_tokens", "").strip()[:20],
        schema=_text(fields, "schema"),
    )


def request_of(prompt: Prompt) -> dict[str, object]:
    """Return the body of a chat completion. Raises Misfilled."""
    if not prompt.model:
        raise Misfilled("Choose a model.")
    if not prompt.user.strip():
        raise Misfilled("Write what the user says.")
    system = [{"role": "system", "content": prompt.system}] if prompt.system.strip() else []
    body: dict[str, object] = {
        "model": prompt.model,
        "messages": [*system, {"role": "user", "content": prompt.user}],
    }
    if prompt.max_tokens:
        body["max_tokens"] = _max_tokens(prompt.max_tokens)
    if prompt.temperature:
        body["temperature"] = _temperature(prompt.temperature)
    if prompt.schema.strip():
        schema = {"name": "answer", "schema": _schema(prompt.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def streamed(body: Mapping[str, object]) -> dict[str, object]:
    """Return the same request for an answer token by token, with its usage at the end."""
    return dict(body) | {"stream": True, "stream_options": {"include_usage": True}}


def batch_line(body: Mapping[str, object]) -> str:
    """Return the same request as a line of a batch."""
    line = {"custom_id": CUSTOM_ID, "method": "POST", "url": CHAT_COMPLETIONS, "body": dict(body)}
    return json.dumps(line, ensure_ascii=False)


def prompt_snippets(url: str, body: Mapping[str, object]) -> list[Snippet]:
    """Return the same request as code; the command runs it as a batch of one line."""
    text = json.dumps(body, ensure_ascii=False)
    arguments = "".join(f"    {name}={value!r},\n" for name, value in streamed(body).items())
    return [
        Snippet(
            "curl",
            f'curl -N {url}{CHAT_COMPLETIONS} -H "Authorization: Bearer $OPENAI_API_KEY" '
            f'-H "Content-Type: application/json" -d {shlex.quote(json.dumps(streamed(body), ensure_ascii=False))}',
        ),
        Snippet(
            "Python",
            "from openai import OpenAI\n\n"
            f'client = OpenAI(base_url="{url}/v1")  # reads OPENAI_API_KEY\n'
            f"answer = client.chat.completions.create(\n{arguments})\n"
            "for chunk in answer:\n"
            "    for choice in chunk.choices:\n"
            '        print(choice.delta.content or "", end="", flush=True)',
        ),
        Snippet("vbatch", f"echo {shlex.quote(batch_line(body))} > one.jsonl\nvbatch submit one.jsonl --watch"),
        Snippet("The request", text),
    ]


def read_stream_line(line: bytes) -> list[Said]:
    """Return what one line of the API's stream says; nothing for most lines, which are blank."""
    stripped = line.strip()
    if stripped.startswith(b":"):
        return [Waiting()]
    content = stripped.removeprefix(DATA).strip()
    if not stripped.startswith(DATA) or content == DONE:
        return []
    try:
        chunk = msgspec.json.decode(content, type=_Chunk)
    except msgspec.DecodeError:
        return [Failed("The answer cannot be read.")]
    if chunk.error is not None:
        return [Failed(chunk.error.message)]
    return [*_texts(chunk), *_sums(chunk)]


def _texts(chunk: _Chunk) -> list[Said]:
    said: list[Said] = []
    for choice in chunk.choices:
        reasoning = choice.delta.reasoning_content or choice.delta.reasoning
        if reasoning:
            said.append(Text(reasoning, is_reasoning=True))
        if choice.delta.content:
            said.append(Text(choice.delta.content))
    return said


def _sums(chunk: _Chunk) -> list[Said]:
    finished: list[Said] = [Sum(choice.finish_reason) for choice in chunk.choices if choice.finish_reason]
    if chunk.usage is None:
        return finished
    return [*finished, Sum(None, chunk.usage.prompt_tokens, chunk.usage.completion_tokens)]


def _text(fields: Mapping[str, str], name: str) -> str:
    return fields.get(name, "").replace("\r\n", "\n")[:TEXT_CHARS_MAX]


def _max_tokens(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= MAX_TOKENS_MAX:
        raise Misfilled(f"The most tokens are a whole number from 1 to {MAX_TOKENS_MAX:,}.")
    return int(text)


def _temperature(text: str) -> float:
    try:
        temperature = float(text)
    except ValueError:
        temperature = -1.0
    if not 0.0 <= temperature <= TEMPERATURE_MAX:
        raise Misfilled(f"A temperature is a number from 0 to {TEMPERATURE_MAX:g}.")
    return temperature


def _schema(text: str) -> object:
    try:
        schema: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Misfilled(f"The JSON schema is not JSON: {error}.") from error
    if not isinstance(schema, dict):
        raise Misfilled("A JSON schema is an object in braces.")
    return schema
