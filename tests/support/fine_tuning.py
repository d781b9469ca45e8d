"""What OpenAI checks of a file for fine-tuning, so far as it is published.

Sources: "Data preparation and analysis for chat model fine-tuning" of the OpenAI cookbook, the guides to supervised and
to preference fine-tuning, and the message types of the `openai` package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam
from pydantic import TypeAdapter, ValidationError

EXAMPLES_MIN = 10
MESSAGE_KEYS = {"role", "content", "name", "function_call", "weight", "tool_calls", "tool_call_id", "refusal"}
ROLES = {"system", "developer", "user", "assistant", "function", "tool"}
ANSWERING = {"assistant", "tool"}

_MESSAGE: TypeAdapter[Any] = TypeAdapter(ChatCompletionMessageParam)
_TOOLS: TypeAdapter[Any] = TypeAdapter(list[ChatCompletionFunctionToolParam])


def faults_of_chats(lines: Sequence[Any]) -> list[str]:
    """What is wrong with a file for supervised fine-tuning; empty if nothing is."""
    return _faults_of(lines, _faults_of_chat)


def faults_of_preferences(lines: Sequence[Any]) -> list[str]:
    """What is wrong with a file for preference fine-tuning; empty if nothing is."""
    return _faults_of(lines, _faults_of_preference)


def _faults_of(lines: Sequence[Any], faults_of_line: Callable[[Any], list[str]]) -> list[str]:
    few = [] if len(lines) >= EXAMPLES_MIN else [f"{len(lines)} examples are fewer than {EXAMPLES_MIN}"]
    return few + [f"line {number}: {fault}" for number, line in enumerate(lines, 1) for fault in faults_of_line(line)]


def _faults_of_chat(line: Any) -> list[str]:
    if not isinstance(line, dict) or not (messages := line.get("messages")):
        return ["it has no list of messages"]
    faults = _unknown(line, {"messages", "tools", "parallel_tool_calls", "functions"}) + _faults_of_messages(messages)
    if not any(message.get("role") == "assistant" for message in messages):
        faults.append("no message is an assistant's")
    return faults + _faults_of_tools(line)


def _faults_of_preference(line: Any) -> list[str]:
    if not isinstance(line, dict) or not isinstance(line.get("input"), dict):
        return ["it has no input"]
    faults = _unknown(line, {"input", "preferred_output", "non_preferred_output"})
    faults += _unknown(line["input"], {"messages", "tools", "parallel_tool_calls"})
    faults += _faults_of_messages(line["input"].get("messages") or [{}]) + _faults_of_tools(line["input"])
    for side in ("preferred_output", "non_preferred_output"):
        answers = line.get(side) or []
        if not any(message.get("role") == "assistant" for message in answers):
            faults.append(f"{side} has no message of an assistant")
        faults += [f"{side} has a role that does not answer" for each in answers if each.get("role") not in ANSWERING]
        faults += _faults_of_messages(answers)
    return faults


def _faults_of_messages(messages: Sequence[Any]) -> list[str]:
    faults = []
    for message in messages:
        faults += _unknown(message, MESSAGE_KEYS)
        if message.get("role") not in ROLES:
            faults.append(f"{message.get('role')} is no role")
        if not (message.get("content") or message.get("tool_calls") or message.get("function_call")):
            faults.append("a message is empty")
        faults += _mismatches(_MESSAGE, message)
    return faults


def _faults_of_tools(line: dict[str, Any]) -> list[str]:
    return _mismatches(_TOOLS, line["tools"]) if "tools" in line else []


def _unknown(found: dict[str, Any], known: set[str]) -> list[str]:
    return [f"{key} is unknown" for key in found if key not in known]


def _mismatches(adapter: TypeAdapter[Any], value: Any) -> list[str]:
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        return [str(error)]
    return []
