"""JetStream's JSON answers as structs, its delivery subjects, and the only table from error codes to our exceptions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
from nats.aio.msg import Msg

from vbatch.contracts.message import Recorded
from vbatch.journal.port import Conflict, Full, Rejected, Unavailable

EXPECTED_STREAM = "Nats-Expected-Stream"
EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_FILTER = "Nats-Expected-Last-Subject-Sequence-Subject"
BATCH_ID = "Nats-Batch-Id"
BATCH_SEQUENCE = "Nats-Batch-Sequence"
BATCH_COMMIT = "Nats-Batch-Commit"
STATUS = "Status"
DESCRIPTION = "Description"

NO_MESSAGE_FOUND = 10037
NOTHING_TO_DELETE = (10037, 10043, 10057)
"""The message does not exist: the sequence is beyond the stream, or deleted already."""
STREAM_NOT_FOUND = 10059
CONSUMER_NOT_FOUND = 10014
STREAM_NAME_IN_USE = 10058

_PUBLISH_CONTROLS = (EXPECTED_STREAM, EXPECTED_SEQUENCE, EXPECTED_FILTER, BATCH_ID, BATCH_SEQUENCE, BATCH_COMMIT)
_WRONG_LAST_SEQUENCE = 10071
_DUPLICATE_IN_BATCH = 10201
_FULL = {10077, 10023, 10047}  # maximum bytes, insufficient resources, insufficient storage
# Another guarded write is in flight (clustered), or a batch lost its middle or its leader: sending it again can help.
_TRANSIENT = {10164, 10176, 10208}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ApiError(msgspec.Struct, frozen=True):
    code: int
    err_code: int = 0
    description: str = ""


class PublishAck(msgspec.Struct, frozen=True):
    error: ApiError | None = None
    seq: int = 0
    duplicate: bool = False
    batch: str = ""
    count: int = 0


class StoredMessage(msgspec.Struct, frozen=True):
    subject: str
    seq: int
    time: datetime
    hdrs: bytes = b""  # msgspec decodes base64
    data: bytes = b""


class MessageAnswer(msgspec.Struct, frozen=True):
    error: ApiError | None = None
    message: StoredMessage | None = None


class StreamState(msgspec.Struct, frozen=True):
    last_seq: int = 0
    messages: int = 0
    bytes: int = 0


class StreamAnswer(msgspec.Struct, frozen=True):
    error: ApiError | None = None
    config: dict[str, object] = {}
    state: StreamState = StreamState()


class ConsumerAnswer(msgspec.Struct, frozen=True):
    error: ApiError | None = None
    num_waiting: int = 0


class PurgeAnswer(msgspec.Struct, frozen=True):
    error: ApiError | None = None
    purged: int = 0


class Answer(msgspec.Struct, frozen=True):
    """Any answer of which only the error is needed."""

    error: ApiError | None = None


publish_acks = msgspec.json.Decoder(PublishAck)
message_answers = msgspec.json.Decoder(MessageAnswer)
stream_answers = msgspec.json.Decoder(StreamAnswer)
consumer_answers = msgspec.json.Decoder(ConsumerAnswer)
purge_answers = msgspec.json.Decoder(PurgeAnswer)
answers = msgspec.json.Decoder(Answer)


def refusal(error: ApiError, subject: str) -> Conflict | Full | Unavailable | Rejected:
    """Return the exception for an error of the server."""
    text = f"{subject}: {error.description} ({error.err_code})"
    if error.err_code in (_WRONG_LAST_SEQUENCE, _DUPLICATE_IN_BATCH):
        return Conflict(text)
    if error.err_code in _FULL:
        return Full(text)
    if error.err_code in _TRANSIENT or error.code >= 500:
        return Unavailable(text)
    return Rejected(text)


def reader_refusal(error: ApiError, what: str) -> Unavailable | Rejected:
    """Return the exception for an error while opening a reader: another starting service may still create the
    stream."""
    text = f"{what}: {error.description} ({error.err_code})"
    if error.err_code == STREAM_NOT_FOUND or error.code >= 500:
        return Unavailable(text)
    return Rejected(text)


class DeliveryTokens(NamedTuple):
    """The parts of `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<ns>.<pending>`."""

    delivery_count: int
    stream_sequence: int
    consumer_sequence: int
    nanoseconds: int


def delivery_tokens(reply: str) -> DeliveryTokens:
    """Read both forms. The newer one has the domain and account before the stream."""
    tokens = reply.split(".")
    first = 4 if len(tokens) == 9 else 6
    return DeliveryTokens(*map(int, tokens[first : first + 4]))


def recorded(message: Msg, tokens: DeliveryTokens) -> Recorded:
    headers = message.headers or {}
    for control in _PUBLISH_CONTROLS:
        headers.pop(control, None)
    at = _EPOCH + timedelta(microseconds=(tokens.nanoseconds + 500) // 1000)  # rounded as msgspec rounds
    return Recorded(tokens.stream_sequence, message.subject, headers, message.data, at)


def recorded_from_store(stored: StoredMessage) -> Recorded:
    lines = stored.hdrs.decode("utf-8", "replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    headers = {name: value.strip() for name, _, value in pairs if name not in _PUBLISH_CONTROLS}
    return Recorded(stored.seq, stored.subject, headers, stored.data, stored.time.astimezone(UTC))
