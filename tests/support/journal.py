"""Helpers for tests that use a journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

from vbatch.contracts.message import Message, Recorded

WAIT_SECONDS = 10.0


def event(
    name: str,
    body: bytes = b"{}",
    subject: str = "evt.batch.b1.created",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Message:
    return Message(subject, body, name, headers)


def order(name: str, subject: str = "work.r1") -> Message:
    return Message(subject, name.encode(), name)


def lease(name: str, service: str = "runner.r1") -> Message:
    return Message(f"evt.{service}.lease", b"{}", name)


async def read(tail: AsyncIterator[list[Recorded]], count: int) -> list[Recorded]:
    """Read exactly `count` records, or time out."""
    records: list[Recorded] = []
    async with asyncio.timeout(WAIT_SECONDS):
        while len(records) < count:
            records += await anext(tail)
    assert len(records) == count, f"{len(records)} records instead of {count}"
    return records


def ids(records: list[Recorded]) -> list[str]:
    return [record.message_id for record in records]
