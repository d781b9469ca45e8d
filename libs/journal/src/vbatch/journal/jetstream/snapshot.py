"""A stream as bytes, at one sequence, while the server works; and back, with every sequence unchanged.

The bytes are the server's own (STREAM.SNAPSHOT and STREAM.RESTORE, a tar in S2): they are for a server of the same or a
later version. Both need the rights of an operator.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
from nats.aio.msg import Msg

from vbatch.journal.jetstream import wire
from vbatch.journal.jetstream.requests import Requests
from vbatch.journal.port import Rejected, Unavailable

CHUNK_BYTES = 256 * 1024
SILENCE_SECONDS = 60.0
"""How long the server may take before the first piece, and between two pieces."""
WHOLE = "204"
"""The status of the last, empty message of a complete snapshot."""


class SnapshotHead(msgspec.Struct, frozen=True):
    """What a restore needs in addition to the bytes: the server's configuration and state of the stream, as JSON."""

    config: msgspec.Raw
    state: msgspec.Raw


class _SnapshotAnswer(msgspec.Struct, frozen=True):
    error: wire.ApiError | None = None
    config: msgspec.Raw = msgspec.Raw(b"{}")
    state: msgspec.Raw = msgspec.Raw(b"{}")


class _RestoreAnswer(msgspec.Struct, frozen=True):
    error: wire.ApiError | None = None
    deliver_subject: str = ""


_snapshot_answers = msgspec.json.Decoder(_SnapshotAnswer)
_restore_answers = msgspec.json.Decoder(_RestoreAnswer)
_states = msgspec.json.Decoder(wire.StreamState)


def last_sequence_of(head: SnapshotHead) -> int:
    return _states.decode(head.state).last_seq


class Snapshot:
    """One snapshot of a stream. `head` is available once the first piece has arrived."""

    def __init__(self, requests: Requests, stream: str) -> None:
        self._requests = requests
        self._stream = stream
        self._arrived: asyncio.Queue[Msg] = asyncio.Queue()
        self.head: SnapshotHead | None = None

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the bytes, as the server sends them. Raises Unavailable if they do not arrive, and Rejected if
        refused."""
        connection = self._requests.connection
        inbox = connection.new_inbox()
        subscription = await connection.subscribe(inbox, self._arrived.put)
        try:
            await self._begin(inbox)
            while (piece := await self._next()) is not None:
                yield piece
        finally:
            await connection.unsubscribe(subscription)

    async def _begin(self, inbox: str) -> None:
        ask = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": CHUNK_BYTES, "jsck": True}
        reply = await self._requests.request(f"$JS.API.STREAM.SNAPSHOT.{self._stream}", msgspec.json.encode(ask))
        answer = _snapshot_answers.decode(reply.data)
        if answer.error is not None:
            raise wire.refusal(answer.error, f"snapshot of {self._stream}")
        self.head = SnapshotHead(answer.config, answer.state)

    async def _next(self) -> bytes | None:
        """Return the next piece; None behind the last one. Each piece is acknowledged, because the server sends only
        some ahead."""
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                message = await self._arrived.get()
        except TimeoutError as error:
            raise Unavailable(f"snapshot of {self._stream}: nothing came for {SILENCE_SECONDS:g} s") from error
        if message.data:
            if message.reply:
                await self._requests.connection.send(message.reply, b"")
            return message.data
        status = (message.headers or {}).get(wire.STATUS, WHOLE)
        if status != WHOLE:
            raise Unavailable(f"snapshot of {self._stream}: the server gave up ({status})")
        return None


async def restore(requests: Requests, stream: str, head: SnapshotHead, pieces: AsyncIterator[bytes]) -> None:
    """Create the stream from its snapshot. The stream must not exist. Raises Rejected, Unavailable."""
    ask = msgspec.json.encode({"config": head.config, "state": head.state})
    reply = await requests.request(f"$JS.API.STREAM.RESTORE.{stream}", ask)
    answer = _restore_answers.decode(reply.data)
    if answer.error is not None:
        raise Rejected(f"restore of {stream}: {answer.error.description} ({answer.error.err_code})")
    async for piece in pieces:
        for start in range(0, len(piece), CHUNK_BYTES):
            _must_be_taken(await requests.request(answer.deliver_subject, piece[start : start + CHUNK_BYTES]), stream)
    _must_be_taken(await requests.request(answer.deliver_subject, b""), stream)


def _must_be_taken(reply: Msg, stream: str) -> None:
    error = wire.answers.decode(reply.data).error if reply.data else None
    if error is not None:
        raise Rejected(f"restore of {stream}: {error.description} ({error.err_code})")
