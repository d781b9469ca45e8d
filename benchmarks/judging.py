"""What it costs the runner to judge an answer, in nanoseconds of one core: python -m benchmarks.judging

The same answers are read with and without the judgement, alternately; the table gives the medians.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from time import process_time_ns

from vbatch.contracts.endpoints import CHAT_COMPLETIONS
from vbatch.contracts.ids import SliceId
from vbatch.gpu_runner.core.answers import usage_of
from vbatch.gpu_runner.core.feed import Request
from vbatch.gpu_runner.core.judging import flaws_of

ROUNDS, CALLS = 21, 2_000
WORDS = "The answer to this question depends on what you mean by it, and on the number {number}. "
SCHEMA: dict[str, object] = {
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
}


def main() -> None:
    sys.stdout.write("| answer | read | judge | together |\n|---|---|---|---|" + "\n")
    for characters in (200, 1_000, 4_000, 16_000):
        _row(f"text of {characters:,} characters", _prose(characters), {})
    _row("JSON of 1,000 characters, asked for", json.dumps({"text": _prose(970)}), SCHEMA)


def _row(what: str, content: str, asked: dict[str, object]) -> None:
    request, body = _request(asked), _body(content)
    read, judge = _median_of(lambda: usage_of(body)), _median_of(lambda: flaws_of(request, body))
    sys.stdout.write(f"| {what} | {read:,.0f} ns | {judge:,.0f} ns | {read + judge:,.0f} ns |" + "\n")


def _median_of(call: Callable[[], object]) -> float:
    rounds = []
    for _ in range(ROUNDS):
        started = process_time_ns()
        for _ in range(CALLS):
            call()
        rounds.append((process_time_ns() - started) / CALLS)
    return statistics.median(rounds)


def _prose(characters: int) -> str:
    return "".join(WORDS.format(number=number) for number in range(characters // 80 + 1))[:characters]


def _request(asked: dict[str, object]) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": _prose(1_000)}], "max_tokens": 300, **asked}
    return Request(SliceId("s"), 1, "a", CHAT_COMPLETIONS, json.dumps(body).encode())


def _body(content: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 250, "completion_tokens": 250, "total_tokens": 500}
    return json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()


if __name__ == "__main__":
    main()
