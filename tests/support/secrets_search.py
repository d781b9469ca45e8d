"""Looks for secrets everywhere a running stack could show or keep one, other than the folder that is made for them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from math import inf
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil

from tests.support.stack import SERVICE_SECTIONS, RunningStack
from vbatch.chassis.files import CORE_BYTES_MAX
from vbatch.journal.jetstream import connect
from vbatch.local import survivors
from vbatch.local.log_access import log_settings

SECRETS = "secrets"
PAGES = ("/metrics", "/ready", "/settings")
PAGE_SECONDS_MAX = 10.0
SECRET_CHARS_MIN = 16
"""Shorter words of a secret file, such as a user's name in a URL, are no secrets."""


def places_that_hold(stack: RunningStack, *secrets: str) -> list[str]:
    """The files, events, pages and processes that hold one of the secrets, or one of those of the stack itself."""
    sought = {secret.encode() for secret in (*secrets, *secrets_of(stack.home))}
    found = [*_files(stack.home), *asyncio.run(_events(stack)), *_pages(stack), *_processes(stack.home)]
    return sorted({place for place, content in found if any(secret in content for secret in sought)})


def processes_that_may_dump(stack: RunningStack) -> list[str]:
    """The processes whose memory the kernel would write to disk when they crash."""
    processes = survivors.processes_of(stack.home)
    assert len(processes) >= len(SERVICE_SECTIONS)
    return [process.name() for process in processes if _core_bytes_max(process) > CORE_BYTES_MAX]


def _core_bytes_max(process: psutil.Process) -> float:
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    soft = re.findall(r"Max core file size +(\S+)", limits)[0]
    return inf if soft == "unlimited" else int(soft)


def secrets_of(home: Path) -> Collection[str]:
    """What the stack generated for itself: seeds of NATS users, passwords of PostgreSQL, the token of the lane."""
    texts = [path.read_bytes() for path in (home / SECRETS).rglob("*") if path.is_file()]
    words = {word for text in texts if text.isascii() for word in _secret_words(text.decode())}
    return {word for word in words if len(word) >= SECRET_CHARS_MIN}


def _secret_words(text: str) -> Iterator[str]:
    for word in text.split():
        yield (urlsplit(word).password or "") if "://" in word else word


def _files(home: Path) -> Iterator[tuple[str, bytes]]:
    for path in home.rglob("*"):
        inside = path.relative_to(home)
        if inside.parts[0] != SECRETS:
            with suppress(FileNotFoundError, IsADirectoryError, OSError):  # sockets, and what a server just removed
                yield f"file {inside}", path.read_bytes()


async def _events(stack: RunningStack) -> list[tuple[str, bytes]]:
    """The files of the log are compressed, so its events are read through the server."""
    found: list[tuple[str, bytes]] = []
    async with connect(log_settings(stack.settings, "search")) as journal:
        head = await journal.log.last_sequence()
        async with journal.log.tail(0, ["evt.>"]) as tail:
            async for records in tail:
                found += [(f"event {each.subject}", f"{each.headers}".encode() + each.body) for each in records]
                if records and records[-1].sequence >= head:
                    return found
    return found


def _pages(stack: RunningStack) -> Iterator[tuple[str, bytes]]:
    for section in SERVICE_SECTIONS:
        port = stack.environment[f"VBATCH_{section.upper()}_PORT"]
        for page in PAGES:
            with suppress(URLError), urlopen(f"http://127.0.0.1:{port}{page}", timeout=PAGE_SECONDS_MAX) as answer:
                yield f"page {page} of {section}", answer.read()


def _processes(home: Path) -> Iterator[tuple[str, bytes]]:
    for process in survivors.processes_of(home):
        with suppress(psutil.NoSuchProcess):
            yield f"process {process.name()}", " ".join(process.cmdline()).encode()
