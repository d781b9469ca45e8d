"""Writes the event contract for people (`events.md`) and for programs (`asyncapi.json`, AsyncAPI 3.0).

python -m vbatch.contracts.document docs            writes both files
python -m vbatch.contracts.document docs --check    exits 1 when a file is stale
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from vbatch.contracts.catalogue import KINDS, EventKind

REF = "#/components/schemas/{name}"
VERSION = "1.0.0"

INTRODUCTION = """# Events

Every event is a message on the JetStream stream `EVT`. The body is JSON; the headers are CloudEvents 1.0 attributes in
binary mode (`ce-id`, `ce-type`, `ce-source`, `ce-subject`, `ce-time`), a W3C `traceparent`, and `Nats-Msg-Id`, which
equals `ce-id` and is deterministic: the same event sent twice is stored once. Times are RFC 3339, UTC. Optional fields
are left out when unset. Events are for ever: a shipped version never changes. Read them with any NATS client, with
`vbatch events`, or, batch by batch, as server-sent events from `GET /v1/batches/{id}/events`.
[asyncapi.json](asyncapi.json) says the same to programs.

This page is generated from `libs/contracts`: `task docs`.
"""


def markdown() -> str:
    sections = [INTRODUCTION, _overview()]
    sections += [_section(kind) for kind in KINDS]
    return "\n".join(sections)


def asyncapi() -> dict[str, Any]:
    """An AsyncAPI 3.0 document: a channel, a message and a send operation for each event."""
    _, schemas = msgspec.json.schema_components([kind.type for kind in KINDS], ref_template=REF)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "vLLM Batch Server events", "version": VERSION, "license": {"name": "Apache-2.0"}},
        "defaultContentType": "application/json",
        "channels": {_key(kind): _channel(kind) for kind in KINDS},
        "operations": {f"send_{_key(kind)}": _operation(kind) for kind in KINDS},
        "components": {"messages": {_key(kind): _message(kind) for kind in KINDS}, "schemas": schemas},
    }


def _overview() -> str:
    rows = [f"| [`{kind.name}`](#{_anchor(kind)}) | {', '.join(kind.writers)} | {_purpose(kind)} |" for kind in KINDS]
    return "\n".join(["| event | written by | says |", "|---|---|---|", *rows, ""])


def _section(kind: EventKind) -> str:
    _, schemas = msgspec.json.schema_components([kind.type], ref_template=REF)
    schema = schemas[kind.type.__name__]
    heading = [f"## {kind.name} v{kind.version}", "", _description(kind), ""]
    size = f"at most {kind.bytes_max:,} bytes with its headers"
    address = [f"Subject `{_address(kind)}`, `ce-type` `{kind.ce_type}`, {size}.", ""]
    rows = [_row(name, field, name in schema.get("required", [])) for name, field in schema["properties"].items()]
    return "\n".join([*heading, *address, "| field | type | |", "|---|---|---|", *rows, ""])


def _row(name: str, field: Mapping[str, Any], is_required: bool) -> str:
    return f"| `{name}` | {_type_name(field)} | {'' if is_required else 'optional'} |"


def _type_name(field: Mapping[str, Any]) -> str:
    match field:
        case {"$ref": str(reference)}:
            return reference.rsplit("/", 1)[1]
        case {"anyOf": list(options)}:
            return " or ".join(_type_name(option) for option in options)
        case {"type": "array", "items": Mapping() as items}:
            return f"array of {_type_name(items)}"
        case {"type": "string", "format": str(text_format)}:
            return text_format
        case {"type": str(name)}:
            return name
        case _:
            return "any"


def _channel(kind: EventKind) -> dict[str, Any]:
    return {
        "address": _address(kind),
        "parameters": {"id": {"description": f"The {kind.aggregate}'s id, one subject token."}},
        "messages": {_key(kind): {"$ref": f"#/components/messages/{_key(kind)}"}},
    }


def _operation(kind: EventKind) -> dict[str, Any]:
    channel = f"#/channels/{_key(kind)}"
    message = {"$ref": f"{channel}/messages/{_key(kind)}"}
    return {"action": "send", "summary": _purpose(kind), "channel": {"$ref": channel}, "messages": [message]}


def _message(kind: EventKind) -> dict[str, Any]:
    return {
        "name": kind.ce_type,
        "summary": _purpose(kind),
        "contentType": "application/json",
        "payload": {"$ref": REF.format(name=kind.type.__name__)},
    }


def _address(kind: EventKind) -> str:
    return f"evt.{kind.aggregate}.{{id}}.{kind.place or kind.name.split('.')[1]}"


def _key(kind: EventKind) -> str:
    return kind.name.replace(".", "_")


def _anchor(kind: EventKind) -> str:
    return f"{kind.name}-v{kind.version}".replace(".", "")


def _description(kind: EventKind) -> str:
    """Return the class's docstring; without one of its own, its name as a sentence."""
    own = kind.type.__dict__.get("__doc__")
    return " ".join(own.split()) if own else _words(kind)


def _purpose(kind: EventKind) -> str:
    return _description(kind).split(". ")[0].rstrip(".") + "."


def _words(kind: EventKind) -> str:
    aggregate, event = kind.name.split(".")
    return f"The {aggregate} was {event.replace('_', ' ')}."


def files() -> Mapping[str, str]:
    document = msgspec.json.format(msgspec.json.encode(asyncapi()), indent=2).decode()
    return {"events.md": markdown(), "asyncapi.json": document + "\n"}


def main(arguments: Sequence[str]) -> int:
    folder, is_check = Path(arguments[0]), "--check" in arguments
    stale = [name for name, text in files().items() if not _is_current(folder / name, text)]
    if is_check:
        sys.stderr.writelines(f"{folder / name} is stale: run `task docs`\n" for name in stale)
        return 1 if stale else 0
    for name, text in files().items():
        (folder / name).write_text(text)
    return 0


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
