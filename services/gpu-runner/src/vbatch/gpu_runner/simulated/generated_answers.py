"""Answers with generated words: chat, completions and responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import msgspec

from vbatch.gpu_runner.simulated.answer_frame import frame, name_of
from vbatch.gpu_runner.simulated.request_body import Body, Json, choice_count, forced_function, wanted_schema
from vbatch.gpu_runner.simulated.schema_instance import Schema, instance_of


@dataclass(frozen=True, slots=True)
class Words:
    """The words generated for one choice; `is_cut` if the request's token limit ended it."""

    text: str
    count: int
    is_cut: bool

    @property
    def finish_reason(self) -> str:
        return "length" if self.is_cut else "stop"


def chat(body: Body, prompt: list[str], words: Words) -> dict[str, Json]:
    message: dict[str, Json] = {"role": "assistant", "content": words.text, "refusal": None}
    finish_reason = words.finish_reason
    if (function := forced_function(body)) is not None:
        arguments = msgspec.json.encode(instance_of(cast(Schema, function.get("parameters", {})))).decode()
        called = {"name": function["name"], "arguments": arguments}
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": called}]}
        finish_reason = "tool_calls" if body.tool_choice == "required" else "stop"
    elif (schema := wanted_schema(body)) is not None:
        message["content"] = msgspec.json.encode(instance_of(schema, chance=int(name_of(prompt), 16))).decode()
        finish_reason = "stop"
    choice = {"message": message, "logprobs": None, "finish_reason": finish_reason}
    choices = [{"index": i} | choice for i in range(body.n or 1)]
    return frame("chatcmpl", "chat.completion", body, prompt) | {"choices": choices}


def completions(body: Body, prompt: list[str], words: Words) -> dict[str, Json]:
    choice = {"text": words.text, "logprobs": None, "finish_reason": words.finish_reason}
    choices = [{"index": i} | choice for i in range(choice_count(body))]
    return frame("cmpl", "text_completion", body, prompt) | {"choices": choices}


def responses(body: Body, prompt: list[str], words: Words) -> dict[str, Json]:
    """Build a response with every key of OpenAI's own, without tools, storage and reasoning."""
    head = frame("resp", "response", body, prompt)
    head["created_at"] = head.pop("created")
    status = "incomplete" if words.is_cut else "completed"
    content: Json = [{"type": "output_text", "text": words.text, "annotations": [], "logprobs": None}]
    message = {"type": "message", "id": f"msg_{name_of(prompt)}", "role": "assistant", "status": status}
    return head | {
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
