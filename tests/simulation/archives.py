"""What must hold of archives and of erased answers. They are read here by a reader of its own: unpack, then JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tests.simulation.checks import BatchStory, Reading, Stores, Violation
from tests.simulation.stores import BlobStore
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import OutputKind, output_file_id
from vbatch.contracts.lines import single_line
from vbatch.contracts.message import Recorded

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KINDS: tuple[OutputKind, ...] = ("output", "error")
LEFT = "what_leaves_the_log_is_archived"
ERASED = "erased_answers_are_nowhere"


class _Line(msgspec.Struct):
    sequence: int = 0
    headers: dict[str, str] = {}
    body: msgspec.Raw = msgspec.Raw(b"")
    end: dict[str, int] | None = None


_LINE = msgspec.json.Decoder(_Line)


def newest_archives(records: Iterable[Recorded]) -> dict[str, e.BatchArchived]:
    """The newest archive that the log names for each batch."""
    events = (codec.decode(record) for record in records if record.subject.endswith(".archived"))
    return {event.batch_id: event for event in events if isinstance(event, e.BatchArchived)}


def check_archived(records: Sequence[Recorded], left: Iterable[Recorded], blobs: BlobStore) -> None:
    """Check that the newest archive of its batch holds each chunk that has left the log, or is about to leave it."""
    newest = newest_archives(records)
    opened: dict[str, dict[int, _Line]] = {}
    for record in left:
        batch_id = record.subject.split(".")[2]
        if (told := newest.get(batch_id)) is None:
            raise Violation(LEFT, f"{record.sequence} leaves, and no event tells of an archive of {batch_id}")
        if batch_id not in opened:
            opened[batch_id] = {line.sequence: line for line in _unpacked(told.blob, blobs)}
        if (line := opened[batch_id].get(record.sequence)) is None:
            raise Violation(LEFT, f"{told.blob} does not hold {record.sequence}")
        _check_chunk(record, line, told.erased)


def _unpacked(blob: str, blobs: BlobStore) -> Iterator[_Line]:
    try:
        _, *lines = (_LINE.decode(line) for line in zstd.decompress(blobs.get(blob, b"")).splitlines())
    except (zstd.ZstdError, msgspec.DecodeError, ValueError) as error:
        raise Violation(LEFT, f"{blob} cannot be read: {error}") from error
    if not lines or lines[-1].end is None:
        raise Violation(LEFT, f"{blob} has no last line")
    yield from lines[:-1]


def _check_chunk(record: Recorded, line: _Line, erased: Sequence[str]) -> None:
    if not erased and bytes(line.body) != record.body:
        raise Violation(LEFT, f"{record.sequence} has other bytes in its archive")
    before, after = (
        _outcomes(record),
        _outcomes(Recorded(0, record.subject, line.headers, bytes(line.body), record.recorded_at)),
    )
    if [_remains(outcome) for outcome in before] != [_remains(outcome) for outcome in after]:
        raise Violation(LEFT, f"{record.sequence} has other outcomes in its archive")
    for outcome, kept in zip(before, after, strict=True):
        if _kind(outcome) not in erased and outcome != kept:
            raise Violation(LEFT, f"line {outcome.line} of {record.sequence} has another answer in its archive")


def _outcomes(record: Recorded) -> tuple[e.Outcome, ...]:
    chunk = codec.decode(record)
    assert isinstance(chunk, e.ChunkCompleted)
    return chunk.outcomes


def _remains(outcome: e.Outcome) -> tuple[object, ...]:
    return (
        outcome.line,
        outcome.custom_id,
        outcome.status_code,
        outcome.usage,
        len(single_line(bytes(outcome.body))),
        outcome.body_blob,
    )


def _kind(outcome: e.Outcome) -> str:
    return "output" if outcome.is_success else "error"


def has_left(story: BatchStory, newest: dict[str, e.BatchArchived], deleted: set[str]) -> bool:
    """Whether the batch is in an archive, without the answers of the files that its client deleted."""
    if story.sealed is None:
        return True
    batch_id = story.created.batch_id
    gone = {kind for kind in KINDS if output_file_id(batch_id, kind) in deleted}
    return batch_id in newest and gone <= set(newest[batch_id].erased)


def check_erased(
    reading: Reading, visible: Sequence[Recorded], stores: Stores, needles: Iterable[bytes], dead: Iterable[bytes]
) -> None:
    """Check that none of these texts is in the log, an archive, a blob, a growing file or a dead letter."""
    places = {f"event {record.sequence}": record.body for record in visible}
    places |= {f"growing file {batch_id}": bytes(content) for batch_id, content in stores.partials.items()}
    places |= {name: _content(name, body) for name, body in stores.blobs.items() if _is_looked_at(name, reading)}
    places |= {f"dead letter {number}": body for number, body in enumerate(dead)}
    wanted = list(needles)
    for place, content in places.items():
        if found := next((needle for needle in wanted if needle in content), None):
            raise Violation(ERASED, f"{found!r} is still in {place}")


def _is_looked_at(name: str, reading: Reading) -> bool:
    """Answers to which no event refers belong to a runner that lives; another check is about them."""
    return not name.startswith("answers/") or name in reading.shelved


def _content(name: str, body: bytes) -> bytes:
    return _readable_part(body) if name.startswith("archives/") else body


def _readable_part(body: bytes) -> bytes:
    """As much as can be unpacked of an archive that may be torn."""
    content = b""
    while body:
        frame = zstd.ZstdDecompressor()
        content += frame.decompress(body)
        body = frame.unused_data
    return content
