"""Follows the log: ephemeral consumers without acknowledgements, each opened behind the last record returned.

The sequence numbers of consumer and stream are checked on every record, so a lost frame costs a new consumer, not data.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence

import msgspec
from nats.aio.msg import Msg

from vbatch.contracts.message import Recorded
from vbatch.journal.jetstream import wire
from vbatch.journal.jetstream.pull import Pull, PullBroken, pull_request
from vbatch.journal.jetstream.requests import BACKOFF_FIRST_SECONDS, Requests
from vbatch.journal.port import Unavailable
from vbatch.journal.rules import check_filter
from vbatch.journal.settings import JournalSettings

OUTSTANDING_PULLS = 2
INACTIVE_SECONDS = 60.0
_UNBOUNDED_MESSAGES = 1_000_000  # the limit in bytes ends a pull long before this


class ConsumerConfig(msgspec.Struct, frozen=True):
    name: str
    filter_subjects: Sequence[str]
    opt_start_seq: int
    headers_only: bool
    deliver_policy: str = "by_start_sequence"
    ack_policy: str = "none"
    replay_policy: str = "instant"
    mem_storage: bool = True
    inactive_threshold: int = int(INACTIVE_SECONDS * 1e9)


class CreateConsumer(msgspec.Struct, frozen=True):
    stream_name: str
    config: ConsumerConfig
    action: str = "create"


class Tail(AsyncIterator[list[Recorded]]):
    """Cancelling a pending `anext` loses nothing. Close it with `aclose`."""

    def __init__(
        self,
        requests: Requests,
        settings: JournalSettings,
        *,
        after: int,
        subjects: Sequence[str],
        headers_only: bool,
    ) -> None:
        for subject in subjects:
            check_filter(subject)
        self._requests = requests
        self._settings = settings
        self._subjects = subjects
        self._headers_only = headers_only
        self._after = after
        self._consumer_sequence = 0
        self._pull: Pull | None = None

    async def __anext__(self) -> list[Recorded]:
        while True:
            pull = self._pull or await self._open()
            try:
                records = self._in_order(await pull.take())
            except PullBroken:
                await self.aclose()
                await asyncio.sleep(BACKOFF_FIRST_SECONDS)
                continue
            if records:
                return records

    async def aclose(self) -> None:
        pull, self._pull = self._pull, None
        if pull is not None:
            await pull.close()

    def _in_order(self, messages: list[Msg]) -> list[Recorded]:
        """Return the records up to the first gap. A gap breaks the pull, and the next one starts behind them."""
        records = []
        for message in messages:
            tokens = wire.delivery_tokens(message.reply)
            if tokens.consumer_sequence != self._consumer_sequence + 1 or tokens.stream_sequence <= self._after:
                assert self._pull is not None
                self._pull.fail(f"consumer sequence {tokens.consumer_sequence} after {self._consumer_sequence}")
                break
            self._consumer_sequence = tokens.consumer_sequence
            self._after = tokens.stream_sequence
            records.append(wire.recorded(message, tokens))
        return records

    async def _open(self) -> Pull:
        while True:
            # A connection may be away for any length of time; only a server that answers can refuse permanently.
            await self._requests.connection.wait_connected()
            try:
                return await self._open_pull(await self._requests.persist(self._create_consumer))
            except Unavailable:
                if self._requests.connection.is_connected or self._requests.connection.dead.is_set():
                    raise

    async def _open_pull(self, consumer: str) -> Pull:
        request = pull_request(
            messages=_UNBOUNDED_MESSAGES,
            bytes_max=self._settings.tail_buffer_bytes // OUTSTANDING_PULLS,
            heartbeat_seconds=self._settings.heartbeat_seconds,
        )
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._settings.log_stream}.{consumer}"
        self._consumer_sequence = 0
        pull = Pull(self._requests.connection, subject, request, lambda: OUTSTANDING_PULLS)
        await pull.open()
        self._pull = pull
        return pull

    async def _create_consumer(self) -> str:
        name = f"{self._settings.name}_{uuid.uuid4().hex}"
        stream = self._settings.log_stream
        config = ConsumerConfig(name, self._subjects, self._after + 1, self._headers_only)
        body = msgspec.json.encode(CreateConsumer(stream, config))
        reply = await self._requests.request(f"$JS.API.CONSUMER.CREATE.{stream}.{name}", body)
        error = wire.answers.decode(reply.data).error
        if error is not None:
            raise wire.reader_refusal(error, f"tail of {stream} {list(self._subjects)}")
        return name
