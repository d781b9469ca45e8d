"""Judged answers of every kind that a conversation has: plain texts, names, parts, tools and their calls."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.gateway.curated import judge, told_batch
from tests.integration.gateway.stage import Stage
from tests.support.exchanges import chat_outcome, request_line
from vbatch.contracts.ids import BatchId

PLAIN: list[list[dict[str, Any]]] = [[{"role": "user", "content": f"Tell me about {name}."}] for name in "abcdefgh"]
SYSTEM: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hello", "name": "ada"},
]
PARTS: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": "What is in this text?"}]}]
TIME: list[dict[str, Any]] = [{"role": "user", "content": "How late is it?"}]


def tool(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": f"Tells {name}.", "parameters": parameters}}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


WEATHER, CLOCK = tool("weather", city={"type": "string"}), tool("clock", zone={"type": "integer", "enum": [0, 1]})
TOLD: list[dict[str, Any]] = [
    *TIME,
    {"role": "assistant", "content": None, "tool_calls": [call("clock", zone=1)]},
    {"role": "tool", "tool_call_id": "call_1", "content": "12:00"},
]


async def judged_batches(stage: Stage) -> list[BatchId]:
    """Two batches over the same prompts, of every kind of message, with verdicts, edits and votes."""
    prompts = [*PLAIN, SYSTEM, PARTS, TIME, TOLD]
    tools: dict[int, list[dict[str, Any]]] = {11: [WEATHER, CLOCK], 12: [CLOCK]}
    requests = [
        request_line(line, prompt, **({"tools": tools[line]} if line in tools else {}))
        for line, prompt in enumerate(prompts, 1)
    ]
    first = [chat_outcome(line, f"It is {line}.") for line in range(1, 13)]
    first[10] = chat_outcome(11, None, tool_calls=[call("clock", zone=0)])
    second = [chat_outcome(line, f"I do not know {line}.") for line in range(1, 13)]
    batch_ids = [await told_batch(stage, number, requests, each) for number, each in ((1, first), (2, second))]
    one, other = batch_ids
    await judge(
        stage,
        *({"batch_id": one, "line": line, "verdict": "good", "score": 5, "tags": ["clear"]} for line in range(1, 13)),
        *({"batch_id": other, "line": line, "verdict": "bad"} for line in range(1, 12)),
        {"batch_id": other, "line": 12, "edited": "It is noon."},
        {"batch_id": one, "line": 9, "other_batch_id": other, "other_line": 9, "vote": "a"},
        judge="anna",
    )
    return batch_ids
