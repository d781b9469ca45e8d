"""The rights of each user of the log: one nkey with the least rights per service, one for operators, one that only
reads.

The server knows the public keys. Each seed is in a file of its own in the state folder, readable only by its owner.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nkeys

from vbatch.chassis.files import write_atomically
from vbatch.contracts.catalogue import KINDS
from vbatch.contracts.subjects import ALL_EVENTS
from vbatch.journal.jetstream.heartbeats import SUBJECTS
from vbatch.journal.jetstream.topology import DEAD_SUBJECTS, WORK_SUBJECTS

SEED_BYTES = 32
OPERATOR = "operator"
READER = "reader"
STREAMS = ("EVT", "WORK", "DEAD")
EVERYTHING = (">",)

LOOKING = tuple(f"$JS.API.STREAM.INFO.{stream}" for stream in STREAMS)
TAILING = ("$JS.API.CONSUMER.CREATE.EVT.>", "$JS.API.CONSUMER.MSG.NEXT.EVT.*", "$JS.API.STREAM.MSG.GET.EVT")
WATCHING = "$JS.API.CONSUMER.INFO.WORK.*"
"""Shows whether a runner still fetches orders."""
TAKING = (
    *(f"$JS.API.CONSUMER.{verb}.WORK.*" for verb in ("INFO", "DURABLE.CREATE", "MSG.NEXT")),
    *("$JS.ACK.WORK.>", "$JS.ACK.*.*.WORK.>"),  # the second form has the domain and account before the stream
)

SETTLING = ("$JS.API.STREAM.MSG.GET.DEAD", "$JS.API.STREAM.MSG.DELETE.DEAD")
"""Read dead letters, and remove those that an administrator has handled."""
ERASING = ("$JS.API.STREAM.PURGE.EVT", *SETTLING)
"""Remove from the log what an archive holds, which no other service may do, and dead letters with deleted answers."""


@dataclass(frozen=True, slots=True)
class User:
    """`publishes` and `hears` are NATS subjects; all others are denied."""

    name: str
    publishes: tuple[str, ...]
    hears: tuple[str, ...]


def users() -> list[User]:
    """Return all users. A service may append only the events that the catalogue says it writes."""
    return [
        _service("gateway", *SETTLING),
        _with_standby(_service("scheduler", WORK_SUBJECTS, DEAD_SUBJECTS, WATCHING)),
        _service("gpu-runner", DEAD_SUBJECTS, *TAKING),
        _with_standby(_service("results", DEAD_SUBJECTS, *ERASING)),
        _service("notifier", DEAD_SUBJECTS),
        _service("labeler", DEAD_SUBJECTS),
        User(READER, (LOOKING[0], *TAILING), (ALL_EVENTS, "_INBOX.>", _inbox(READER))),
        User(OPERATOR, EVERYTHING, EVERYTHING),
    ]


def provide_keys(folder: Path) -> None:
    """Create a seed for each user that has none yet."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for user in users():
        path = key_file(folder, user.name)
        if not path.exists():
            write_atomically(path, nkeys.encode_seed(os.urandom(SEED_BYTES), nkeys.PREFIX_BYTE_USER), mode=0o600)


def key_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.nk"


def render(folder: Path) -> str:
    """Return the `authorization` block of the server's configuration, for the keys in the folder."""
    entries = "\n".join(_entry(user, _public_key(key_file(folder, user.name))) for user in users())
    return f"authorization {{\n  users: [\n{entries}\n  ]\n}}\n"


def _service(name: str, *more: str) -> User:
    written = [kind for kind in KINDS if name in kind.writers]
    events = [f"evt.{kind.aggregate}.*.{kind.place or kind.name.split('.')[1]}" for kind in written]
    return User(name, (*dict.fromkeys(events), *more, *LOOKING, *TAILING), (_inbox(name),))


def _with_standby(user: User) -> User:
    """Return the user with the right to exchange heartbeats: the processes of a service tell each other that they are
    alive."""
    alive = SUBJECTS.format(service=user.name)
    return User(user.name, (*user.publishes, alive), (*user.hears, alive))


def _inbox(name: str) -> str:
    """Return the inbox subject. A service receives only answers to its own requests: the journal's inboxes begin with
    its name."""
    return f"_INBOX_{name}.>"


def _entry(user: User, public_key: str) -> str:
    rights = f"publish: {{ allow: {_listed(user.publishes)} }}, subscribe: {{ allow: {_listed(user.hears)} }}"
    return f"    # {user.name}\n    {{ nkey: {public_key}, permissions: {{ {rights} }} }}"


def _listed(subjects: Sequence[str]) -> str:
    return json.dumps(list(subjects))


def _public_key(seed_file: Path) -> str:
    public: bytes = nkeys.from_seed(bytearray(seed_file.read_bytes().strip())).public_key
    return public.decode()
