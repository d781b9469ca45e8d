"""Each format says an example as its readers expect it, or leaves it out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from vbatch.contracts.curation import PairOrigin
from vbatch.gateway.core.curation.examples import AnswerExample, Example, Lineage, PairExample
from vbatch.gateway.core.curation.export_formats import ExportFormat, export_lines
from vbatch.gateway.core.curation.texts import ChatMessage

LINEAGE = Lineage(batch="batch_1", line=7, custom_id="row-7", model="m", judge=("anna",), event=(41,))
SHOWN_LINEAGE = {"batch": "batch_1", "line": 7, "custom_id": "row-7", "model": "m", "judge": ["anna"], "event": [41]}
SYSTEM, HELLO, HI, ASK = (
    {"role": role, "content": content}
    for role, content in (("system", "Be kind."), ("user", "Hello"), ("assistant", "Hi!"), ("user", "How are you?"))
)
FINE, BUSY = {"role": "assistant", "content": "Fine, and you?"}, {"role": "assistant", "content": "Busy."}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f"}}


def raw(*messages: dict[str, Any]) -> list[msgspec.Raw]:
    return [msgspec.Raw(msgspec.json.encode(message)) for message in messages]


def answer(*prompt: dict[str, Any], is_good: bool = True, **more: Any) -> AnswerExample:
    said = more.pop("answer", ChatMessage(role="assistant", content=FINE["content"]))
    return AnswerExample(prompt=raw(*prompt), answer=said, is_good=is_good, split="train", lineage=LINEAGE, **more)


CHAT = answer(SYSTEM, HELLO, HI, ASK)
PAIR = PairExample(
    prompt=raw(ASK),
    chosen=ChatMessage(role="assistant", content=FINE["content"]),
    rejected=ChatMessage(role="assistant", content=BUSY["content"]),
    origin=PairOrigin.VOTE,
    split="test",
    lineage=LINEAGE,
)


def exported(example: Example, export_format: ExportFormat, **how: Any) -> Any:
    """The line of one example, decoded; None if it was left out."""
    lines = export_lines([msgspec.json.encode(example)], export_format, **how)
    assert len(lines) <= 1
    return json.loads(lines[0]) if lines else None


@pytest.mark.parametrize(
    ("export_format", "example", "line"),
    [
        (ExportFormat.OPENAI_CHAT, CHAT, {"messages": [SYSTEM, HELLO, HI, ASK, FINE]}),
        (
            ExportFormat.OPENAI_PREFERENCE,
            PAIR,
            {"input": {"messages": [ASK]}, "preferred_output": [FINE], "non_preferred_output": [BUSY]},
        ),
        (ExportFormat.TRL_SFT, CHAT, {"prompt": [SYSTEM, HELLO, HI, ASK], "completion": [FINE]}),
        (ExportFormat.TRL_DPO, PAIR, {"prompt": [ASK], "chosen": [FINE], "rejected": [BUSY]}),
        (
            ExportFormat.TRL_KTO,
            answer(ASK, is_good=False),
            {"prompt": [ASK], "completion": [FINE], "label": False},
        ),
        (
            ExportFormat.SHAREGPT,
            CHAT,
            {
                "conversations": [
                    {"from": "human", "value": "Hello"},
                    {"from": "gpt", "value": "Hi!"},
                    {"from": "human", "value": "How are you?"},
                    {"from": "gpt", "value": "Fine, and you?"},
                ],
                "system": "Be kind.",
            },
        ),
        (
            ExportFormat.ALPACA,
            CHAT,
            {
                "instruction": "How are you?",
                "input": "",
                "output": "Fine, and you?",
                "system": "Be kind.",
                "history": [["Hello", "Hi!"]],
            },
        ),
    ],
)
def test_a_format_says_an_example(export_format: ExportFormat, example: Example, line: dict[str, Any]):
    assert exported(example, export_format) == line | {"lineage": SHOWN_LINEAGE}
    assert exported(example, export_format, has_lineage=False) == line


def test_the_raw_format_keeps_everything():
    assert exported(PAIR, ExportFormat.RAW) == json.loads(msgspec.json.encode(PAIR))


@pytest.mark.parametrize("export_format", [each for each in ExportFormat if each is not ExportFormat.RAW])
def test_an_example_that_a_format_cannot_say_is_left_out(export_format: ExportFormat):
    wants_pairs = export_format in (ExportFormat.OPENAI_PREFERENCE, ExportFormat.TRL_DPO)
    assert exported(CHAT if wants_pairs else PAIR, export_format) is None


def test_a_bad_answer_is_learned_from_by_kto_only():
    told = [each for each in ExportFormat if exported(answer(ASK, is_good=False), each) is not None]
    assert told == [ExportFormat.RAW, ExportFormat.TRL_KTO]


@pytest.mark.parametrize("export_format", [ExportFormat.SHAREGPT, ExportFormat.ALPACA])
@pytest.mark.parametrize(
    "example",
    [
        answer({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}),
        answer(ASK, tools=[TOOL]),
        answer(ASK, answer=ChatMessage(role="assistant", tool_calls=[TOOL])),
    ],
)
def test_what_is_more_than_text_is_in_no_format_of_text_only(export_format: ExportFormat, example: AnswerExample):
    assert exported(example, export_format) is None


@pytest.mark.parametrize("prompt", [(SYSTEM,), (HI, ASK), (HELLO, ASK), (ASK, HI, HELLO, HI)])
def test_alpaca_has_rounds_of_a_question_and_an_answer(prompt: tuple[dict[str, Any], ...]):
    assert exported(answer(*prompt), ExportFormat.ALPACA) is None


def test_tools_go_where_a_format_has_a_place_for_them():
    calls: list[dict[str, Any]] = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    example = answer(ASK, tools=[TOOL], answer=ChatMessage(role="assistant", tool_calls=calls))
    line = exported(example, ExportFormat.OPENAI_CHAT)
    assert line["tools"] == [TOOL]
    assert line["messages"][-1] == {"role": "assistant", "tool_calls": calls}


CALLED: dict[str, Any] = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"city": "Bonn"}'}}
OBJECT = CALLED | {"function": {"name": "f", "arguments": {"city": "Bonn"}}}


@pytest.mark.parametrize("export_format", [ExportFormat.TRL_SFT, ExportFormat.TRL_KTO])
def test_trl_has_the_arguments_of_calls_as_objects(export_format: ExportFormat):
    asked = ({"role": "assistant", "tool_calls": [CALLED]}, {"role": "tool", "tool_call_id": "c1", "content": "Rain."})
    example = answer(ASK, *asked, tools=[TOOL], answer=ChatMessage(role="assistant", tool_calls=[CALLED]))
    line = exported(example, export_format)
    assert line["prompt"] == [ASK, {"role": "assistant", "tool_calls": [OBJECT]}, asked[1]]
    assert line["completion"] == [{"role": "assistant", "tool_calls": [OBJECT]}]


def test_both_sides_of_a_pair_for_trl_have_the_arguments_of_calls_as_objects():
    side = ChatMessage(role="assistant", tool_calls=[CALLED])
    line = exported(msgspec.structs.replace(PAIR, rejected=side), ExportFormat.TRL_DPO)
    assert line["rejected"] == [{"role": "assistant", "tool_calls": [OBJECT]}]


@pytest.mark.parametrize("arguments", ['{"city": ', "[1]", "Bonn"])
def test_a_call_whose_arguments_are_no_object_is_left_out_for_trl_only(arguments: str):
    broken = CALLED | {"function": {"name": "f", "arguments": arguments}}
    example = answer(ASK, answer=ChatMessage(role="assistant", tool_calls=[broken]))
    told = [each for each in ExportFormat if exported(example, each) is not None]
    assert told == [ExportFormat.RAW, ExportFormat.OPENAI_CHAT]


def test_a_message_with_calls_and_a_number_beyond_any_decoder_is_left_out():
    huge = msgspec.Raw(b'{"role":"assistant","tool_calls":[],"n":' + b"9" * 5_000 + b"}")
    example = msgspec.structs.replace(answer(ASK), prompt=[*raw(ASK), huge])
    assert export_lines([msgspec.json.encode(example)], ExportFormat.TRL_SFT) == []


def test_only_the_asked_split_is_exported():
    assert exported(PAIR, ExportFormat.RAW, split="train") is None
    assert exported(PAIR, ExportFormat.RAW, split="test") is not None
