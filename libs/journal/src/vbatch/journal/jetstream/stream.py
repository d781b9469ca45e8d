"""Appends to one stream and reads from its leader: idempotent, retried, with every server error converted into ours."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from vbatch.contracts.message import MESSAGE_ID_HEADER, Message, Recorded
from vbatch.journal.jetstream import wire
from vbatch.journal.jetstream.requests import Requests
from vbatch.journal.port import APPEND_ALL_MESSAGES_MAX, Conflict, Fill, Guard, Rejected
from vbatch.journal.rules import check_filter, check_subject, outgoing_headers, wire_bytes
from vbatch.journal.settings import JournalSettings

PURGE_STEP_SEQUENCES = 64
"""At most 16 MiB of chunks, or two blocks of the server's store, are between these sequences."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message that was checked and is ready for the socket."""

    subject: str
    body: bytes
    headers: dict[str, str]
    size: int

    @property
    def message_id(self) -> str:
        return self.headers[MESSAGE_ID_HEADER]


class Stream:
    def __init__(
        self, requests: Requests, settings: JournalSettings, name: str, *, message_bytes_max: int | None = None
    ) -> None:
        self.name = name
        self._message_bytes_max = message_bytes_max or settings.message_bytes_max
        self._requests = requests
        self._settings = settings

    def envelope(self, message: Message, guard: Guard | None = None) -> Envelope:
        """Check a message. Rejecting it here costs nothing; at the server, an oversize message costs the connection."""
        headers = outgoing_headers(message)
        headers[wire.EXPECTED_STREAM] = self.name
        if guard is not None:
            check_filter(guard.subject_filter)
            headers[wire.EXPECTED_SEQUENCE] = str(guard.sequence)
            headers[wire.EXPECTED_FILTER] = guard.subject_filter
        size = wire_bytes(headers, message.body)
        limit = min(self._requests.connection.max_payload, self._message_bytes_max)
        if size > limit:
            raise Rejected(f"{message.subject}: {size} bytes with headers, the limit is {limit}")
        return Envelope(message.subject, message.body, headers, size)

    async def append(self, message: Message, guard: Guard | None = None) -> int:
        envelope = self.envelope(message, guard)
        try:
            return await self._persist(lambda: self._store(envelope))
        except Conflict:
            # The server checks the guard before it looks for duplicates, so our own stored write looks like another
            # writer's.
            stored = await self.last(guard.subject_filter) if guard else None
            if stored is None or stored.message_id != message.message_id:
                raise
            return stored.sequence

    async def append_all(self, messages: Sequence[Message], guard: Guard | None = None) -> int:
        envelopes = self._envelopes(messages, guard)
        try:
            return await self._persist(lambda: self._store_all(envelopes))
        except Conflict:
            stored = await self.last(envelopes[-1].subject)
            if stored is None or stored.message_id != envelopes[-1].message_id:
                raise
            return stored.sequence

    def _envelopes(self, messages: Sequence[Message], guard: Guard | None) -> list[Envelope]:
        """Return the checked messages. Raises Rejected if they are too many or too large for one append."""
        if not 1 <= len(messages) <= APPEND_ALL_MESSAGES_MAX:
            raise Rejected(f"{len(messages)} messages at once; 1 to {APPEND_ALL_MESSAGES_MAX} are possible")
        envelopes = [self.envelope(m, guard if n == 0 else None) for n, m in enumerate(messages)]
        size = sum(e.size for e in envelopes)
        if size > self._settings.append_all_bytes_max:
            raise Rejected(f"{size} bytes at once, the limit is {self._settings.append_all_bytes_max}")
        return envelopes

    async def last(self, subject_filter: str) -> Recorded | None:
        check_filter(subject_filter)
        return await self._read({"last_by_subj": subject_filter})

    async def first_after(self, after: int, subject_filter: str) -> Recorded | None:
        """Return the first message on the filter behind sequence `after`."""
        return await self._read({"seq": after + 1, "next_by_subj": subject_filter})

    async def last_sequence(self) -> int:
        return (await self._state()).last_seq

    async def count(self) -> int:
        """The number of messages in the stream now."""
        return (await self._state()).messages

    async def delete(self, sequence: int) -> None:
        """Delete one message and overwrite its bytes. It need not exist. Only for streams without `deny_delete`."""
        body = msgspec.json.encode({"seq": sequence, "no_erase": False})

        async def attempt() -> None:
            reply = await self._requests.request(f"$JS.API.STREAM.MSG.DELETE.{self.name}", body)
            error = wire.answers.decode(reply.data).error
            if error is not None and error.err_code not in wire.NOTHING_TO_DELETE:
                raise wire.refusal(error, f"{self.name} {sequence}")

        await self._requests.persist(attempt)

    async def purge(self, subject: str, through: int) -> int:
        """Remove the messages on `subject` up to and including sequence `through`; return how many there were.

        It works in steps, because the server answers no append during a purge: a step reads each block that it touches.
        """
        check_subject(subject)
        purged = 0
        while (first := await self.first_after(0, subject)) is not None and first.sequence <= through:
            purged += await self._purge_step(subject, min(through, first.sequence + PURGE_STEP_SEQUENCES))
        return purged

    async def _purge_step(self, subject: str, through: int) -> int:
        body = msgspec.json.encode({"filter": subject, "seq": through + 1})

        async def attempt() -> int:
            reply = await self._requests.request(f"$JS.API.STREAM.PURGE.{self.name}", body)
            answer = wire.purge_answers.decode(reply.data)
            if answer.error is not None:
                raise wire.refusal(answer.error, subject)
            return answer.purged

        return await self._requests.persist(attempt)

    async def fill(self) -> Fill:
        answer = await self._info()
        bytes_max = answer.config["max_bytes"]
        assert isinstance(bytes_max, int), "the server tells every stream's limit as a number"
        return Fill(answer.state.bytes, bytes_max)

    async def _persist(self, attempt: Callable[[], Awaitable[int]]) -> int:
        if self._settings.waits_for_space:
            return await self._requests.space.persist(lambda: self._requests.persist(attempt))
        return await self._requests.persist(attempt)

    async def _state(self) -> wire.StreamState:
        return (await self._info()).state

    async def _info(self) -> wire.StreamAnswer:
        async def attempt() -> wire.StreamAnswer:
            reply = await self._requests.request(f"$JS.API.STREAM.INFO.{self.name}", b"")
            answer = wire.stream_answers.decode(reply.data)
            if answer.error is not None:
                raise wire.refusal(answer.error, self.name)
            return answer

        return await self._requests.persist(attempt)

    async def _store(self, envelope: Envelope) -> int:
        self._requests.space.check_disk()
        reply = await self._requests.request(envelope.subject, envelope.body, envelope.headers)
        return stored_sequence(reply.data, envelope.subject)

    async def _store_all(self, envelopes: Sequence[Envelope]) -> int:
        """Store all messages; return the last sequence. Each attempt is a new batch: the server drops a broken one, and
        it cannot be continued."""
        if len(envelopes) == 1:
            return await self._store(envelopes[0])
        self._requests.space.check_disk()
        batch = uuid.uuid4().hex
        for position, envelope in enumerate(envelopes[:-1], start=1):
            headers = {**envelope.headers, wire.BATCH_ID: batch, wire.BATCH_SEQUENCE: str(position)}
            await self._requests.connection.send(envelope.subject, envelope.body, headers=headers)
        commit = {wire.BATCH_ID: batch, wire.BATCH_SEQUENCE: str(len(envelopes)), wire.BATCH_COMMIT: "1"}
        last = envelopes[-1]
        reply = await self._requests.request(last.subject, last.body, {**last.headers, **commit})
        return stored_sequence(reply.data, last.subject)

    async def _read(self, query: Mapping[str, str | int]) -> Recorded | None:
        body = msgspec.json.encode(query)

        async def attempt() -> Recorded | None:
            reply = await self._requests.request(f"$JS.API.STREAM.MSG.GET.{self.name}", body)
            answer = wire.message_answers.decode(reply.data)
            if answer.error is not None:
                if answer.error.err_code == wire.NO_MESSAGE_FOUND:
                    return None
                raise wire.refusal(answer.error, self.name)
            return wire.recorded_from_store(answer.message) if answer.message else None

        return await self._requests.persist(attempt)


def stored_sequence(answer: bytes, subject: str) -> int:
    """Return the sequence in an acknowledgement. A refusal raises the matching exception."""
    ack = wire.publish_acks.decode(answer)
    if ack.error is not None:
        raise wire.refusal(ack.error, subject)
    return ack.seq
