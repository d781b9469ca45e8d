"""The export formats of a data set: each makes at most one JSON line from an example.

Sources: OpenAI's guides to supervised and preference fine-tuning; TRL's "Dataset formats and types"; the data formats
of LLaMA-Factory (ShareGPT, Alpaca). An example that a format cannot express is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TypeGuard

import msgspec

from vbatch.contracts.previews import Json
from vbatch.gateway.core.curation.examples import AnswerExample, Example, Lineage, PairExample
from vbatch.gateway.core.curation.texts import ASSISTANT, SYSTEM, USER
from vbatch.gateway.core.curation.tool_calls import ArgumentsUnreadable, Messages, with_decoded_calls

SHAREGPT_ROLES = {SYSTEM: "system", USER: "human", ASSISTANT: "gpt", "tool": "observation"}


class ExportFormat(StrEnum):
    RAW = "raw"
    """The examples as the data set holds them, with all their fields."""
    OPENAI_CHAT = "openai-chat"
    OPENAI_PREFERENCE = "openai-preference"
    TRL_SFT = "trl-sft"
    TRL_DPO = "trl-dpo"
    TRL_KTO = "trl-kto"
    SHAREGPT = "sharegpt"
    ALPACA = "alpaca"


class OpenAIChat(msgspec.Struct, frozen=True, omit_defaults=True):
    messages: Messages
    tools: list[Json] | None = None
    lineage: Lineage | None = None


class OpenAIInput(msgspec.Struct, frozen=True, omit_defaults=True):
    messages: Messages
    tools: list[Json] | None = None


class OpenAIPreference(msgspec.Struct, frozen=True, omit_defaults=True):
    input: OpenAIInput
    preferred_output: Messages
    non_preferred_output: Messages
    lineage: Lineage | None = None


class TrlSft(msgspec.Struct, frozen=True, omit_defaults=True):
    prompt: Messages
    completion: Messages
    tools: list[Json] | None = None
    lineage: Lineage | None = None


class TrlDpo(msgspec.Struct, frozen=True, omit_defaults=True):
    prompt: Messages
    chosen: Messages
    rejected: Messages
    tools: list[Json] | None = None
    lineage: Lineage | None = None


class TrlKto(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    prompt: Messages
    completion: Messages
    label: bool
    tools: list[Json] | None = None
    lineage: Lineage | None = None


class ShareGptTurn(msgspec.Struct, frozen=True, rename={"speaker": "from"}):
    speaker: str
    value: str


class ShareGpt(msgspec.Struct, frozen=True, omit_defaults=True):
    conversations: Sequence[ShareGptTurn]
    system: str | None = None
    lineage: Lineage | None = None


class Alpaca(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`input` is always present, although a chat has none: readers of the format expect it."""

    instruction: str
    input: str
    output: str
    system: str | None = None
    history: Sequence[tuple[str, str]] = ()
    lineage: Lineage | None = None


class PlainMessage(msgspec.Struct, frozen=True):
    """A message of text only, the only kind that some formats can express."""

    role: str
    content: str


Line = Alpaca | Example | OpenAIChat | OpenAIPreference | ShareGpt | TrlDpo | TrlKto | TrlSft

_EXAMPLES: msgspec.json.Decoder[Example] = msgspec.json.Decoder(Example)
_MESSAGES = msgspec.json.Decoder(PlainMessage)
_ENCODER = msgspec.json.Encoder()


def export_lines(
    lines: Sequence[bytes], export_format: ExportFormat, *, split: str | None = None, has_lineage: bool = True
) -> list[bytes]:
    """Return the lines of a data set in a format, without line ends. Examples that the format cannot express are left
    out."""
    decoded = (_EXAMPLES.decode(line) for line in lines)
    examples = (example for example in decoded if split in (None, example.split))
    exported = (_formatted(example, export_format, has_lineage=has_lineage) for example in examples)
    return [_ENCODER.encode(line) for line in exported if line is not None]


def _formatted(example: Example, export_format: ExportFormat, *, has_lineage: bool) -> Line | None:
    try:
        return FORMATS[export_format](example, example.lineage if has_lineage else None)
    except ArgumentsUnreadable:
        return None


def _raw(example: Example, lineage: Lineage | None) -> Line | None:
    return example


def _openai_chat(example: Example, lineage: Lineage | None) -> Line | None:
    if not _is_good_answer(example):
        return None
    return OpenAIChat([*example.prompt, example.answer], example.tools, lineage)


def _openai_preference(example: Example, lineage: Lineage | None) -> Line | None:
    if not isinstance(example, PairExample):
        return None
    given = OpenAIInput(example.prompt, example.tools)
    return OpenAIPreference(given, [example.chosen], [example.rejected], lineage)


def _trl_sft(example: Example, lineage: Lineage | None) -> Line | None:
    if not _is_good_answer(example):
        return None
    prompt, completion = with_decoded_calls(example.prompt), with_decoded_calls([example.answer])
    return TrlSft(prompt, completion, example.tools, lineage)


def _trl_dpo(example: Example, lineage: Lineage | None) -> Line | None:
    if not isinstance(example, PairExample):
        return None
    prompt, chosen = with_decoded_calls(example.prompt), with_decoded_calls([example.chosen])
    return TrlDpo(prompt, chosen, with_decoded_calls([example.rejected]), example.tools, lineage)


def _trl_kto(example: Example, lineage: Lineage | None) -> Line | None:
    """A pair is not an unpaired preference, and gives no line; the original of an edited answer is in no line."""
    if not isinstance(example, AnswerExample):
        return None
    return TrlKto(
        prompt=with_decoded_calls(example.prompt),
        completion=with_decoded_calls([example.answer]),
        label=example.is_good,
        tools=example.tools,
        lineage=lineage,
    )


def _sharegpt(example: Example, lineage: Lineage | None) -> Line | None:
    if not _is_good_answer(example):
        return None
    messages = _plain_messages(example)
    if messages is None:
        return None
    system = _system(messages)
    spoken = messages[1:] if system is not None else messages
    if any(message.role not in SHAREGPT_ROLES for message in spoken):
        return None
    turns = [ShareGptTurn(SHAREGPT_ROLES[message.role], message.content) for message in spoken]
    return ShareGpt(turns, system, lineage)


def _alpaca(example: Example, lineage: Lineage | None) -> Line | None:
    if not _is_good_answer(example):
        return None
    messages = _plain_messages(example)
    if messages is None:
        return None
    system = _system(messages)
    turns = messages[1:] if system is not None else messages
    if [turn.role for turn in turns] != [USER, ASSISTANT] * (len(turns) // 2):
        return None
    rounds = [(asked.content, told.content) for asked, told in zip(turns[::2], turns[1::2], strict=True)]
    *history, (instruction, output) = rounds
    return Alpaca(instruction=instruction, input="", output=output, system=system, history=history, lineage=lineage)


def _is_good_answer(example: Example) -> TypeGuard[AnswerExample]:
    return isinstance(example, AnswerExample) and example.is_good


def _plain_messages(example: AnswerExample) -> list[PlainMessage] | None:
    """Return the whole conversation; None if a part of it is not text."""
    if example.tools is not None or example.answer.content is None or example.answer.tool_calls is not None:
        return None
    try:
        messages = [_MESSAGES.decode(message) for message in example.prompt]
    except msgspec.ValidationError:
        return None
    return [*messages, PlainMessage(ASSISTANT, example.answer.content)]


def _system(messages: Sequence[PlainMessage]) -> str | None:
    return messages[0].content if messages[0].role == SYSTEM else None


FORMATS: Mapping[ExportFormat, Callable[[Example, Lineage | None], Line | None]] = {
    ExportFormat.RAW: _raw,
    ExportFormat.OPENAI_CHAT: _openai_chat,
    ExportFormat.OPENAI_PREFERENCE: _openai_preference,
    ExportFormat.TRL_SFT: _trl_sft,
    ExportFormat.TRL_DPO: _trl_dpo,
    ExportFormat.TRL_KTO: _trl_kto,
    ExportFormat.SHAREGPT: _sharegpt,
    ExportFormat.ALPACA: _alpaca,
}
