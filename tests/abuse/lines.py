"""Input files whose every field, and whose every answer of the engine, may be any text."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from tests.abuse.texts import size, text
from tests.support.stack import CHAT

URL = "/v1/chat/completions"
Line = dict[str, Any]
LINES_MAX = 6
FAULTS = 3_000
"""So many lines, each with a long fault, in one file."""
FAULT_BYTES = 4_000


def hostile_file(random: Random) -> bytes:
    """A file that is often fit, so that its texts come as far as the engine and back."""
    if random.random() < 0.05:
        return many_faults(random)
    lines = [_line(random, number) for number in range(random.randint(1, LINES_MAX))]
    if random.random() < 0.5:
        random.choice(FIELDS)(random, random.choice(lines))
    return b"".join(_written(random, line) + b"\n" for line in lines)


def many_faults(random: Random) -> bytes:
    words = text(random, FAULT_BYTES)
    lines = ({**_plain(number), "method": words} for number in range(FAULTS))
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _plain(number: int) -> Line:
    body = {"model": CHAT, "messages": [{"role": "user", "content": f"number {number}"}], "max_tokens": 4}
    return {"custom_id": f"c{number}", "method": "POST", "url": URL, "body": body}


def _line(random: Random, number: int) -> Line:
    line = _plain(number)
    line["body"]["simulate"] = random.choice(ANSWERS)(random)
    if random.random() < 0.3:
        line["custom_id"] = f"{number}{text(random, 1_023)}"
    if random.random() < 0.3:
        line["body"]["messages"][0]["content"] = text(random)
    if random.random() < 0.2:
        line["body"][text(random, 10_000)] = text(random, 10_000)
    return line


def _written(random: Random, line: Line) -> bytes:
    """In one of the ways in which JSON can be written."""
    return json.dumps(line, ensure_ascii=random.random() < 0.5).encode()


def _set(*path: str) -> Callable[[Random, Line], None]:
    def change(random: Random, line: Line) -> None:
        place: Any = line
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = text(random)

    return change


def _more(random: Random, line: Line) -> None:
    line[text(random)] = text(random)


def _deep(random: Random, line: Line) -> None:
    nested: Any = text(random, 1_000)
    for _ in range(random.choice((100, 500, 590))):
        nested = [nested]
    line["body"]["deep"] = nested


FIELDS: tuple[Callable[[Random, Line], None], ...] = (
    _set("custom_id"),
    _set("method"),
    _set("url"),
    _set("body"),
    _set("body", "model"),
    _set("body", "messages"),
    _set("body", "stream"),
    _set("body", "max_tokens"),
    _set("body", "simulate"),
    _more,
    _deep,
)


def _odd_head(random: Random) -> Line:
    name = random.choice(("x-odd", "content-encoding", "connection", "transfer-encoding", "retry-after", "set-cookie"))
    return {"headers": {name: text(random, 1_000).replace("\r", "").replace("\n", "")}}


ANSWERS: tuple[Callable[[Random], Line], ...] = (
    lambda random: {},
    lambda random: {},
    lambda random: {"status": random.choice((400, 404, 422)), "error_bytes": size(random)},
    lambda random: {"status": random.choice((500, 502, 504)), "error_bytes": size(random)},
    lambda random: {"status": random.choice((0, 99, 101, 204, 304, 600, 999))},
    lambda random: {"finish_reason_bytes": size(random)},
    lambda random: {"tool_name_bytes": size(random)},
    lambda random: {"answer_bytes": size(random)},
    lambda random: {"tokens": random.choice((-1, 2**31, 2**63, 10**18))},
    lambda random: {"header_bytes": size(random)},
    _odd_head,
    lambda random: {"busy_count": 1, "busy_status": 429, "retry_after": text(random, 10_000).strip("\r\n")},
    lambda random: {
        "busy_count": 1,
        "retry_after": random.choice(("9" * 5_000, "1e308", "1 Jan 99999999999999 1:1:1 GMT")),
    },
    lambda random: {"not_json": True, "status": random.choice((200, 500))},
)
"""What the engine is asked to answer."""
