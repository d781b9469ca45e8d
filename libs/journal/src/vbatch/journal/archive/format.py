"""The bytes of an archive: JSON lines in zstd frames. docs/archive.md describes them for other programs.

The first line says what the file is, each further line is one record of the log, and the last line counts the records.
Every frame has a checksum, and a file that ends before its last line is recognised, so `zstdcat FILE` is a complete
reader.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from vbatch.contracts.message import Recorded
from vbatch.journal.port import Unavailable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FORMAT = "vbatch-archive"
VERSION = 1
FRAME_BYTES = 1 << 20
"""The size of the lines in one frame, before compression. A frame ends with the line that reaches it."""
LINE_BYTES_MAX = 8 << 20
"""The largest message of the log in base64, and its headers with every character escaped."""
COMPRESSION_LEVEL = 3
_END = b'{"end":'
_OPTIONS: Mapping[int, int] = {
    zstd.CompressionParameter.compression_level: COMPRESSION_LEVEL,
    zstd.CompressionParameter.checksum_flag: 1,
}


class ArchiveDamaged(Unavailable):
    """The bytes are not a complete archive of a version that this program reads. The text says what is wrong.

    A reader of the log keeps trying, as with an unavailable log: the archive can be restored from a backup.
    """


class ArchiveHead(msgspec.Struct, frozen=True):
    """The first line. `erased` names the files of the batch whose answers are no longer in the archive."""

    batch_id: str
    format: str = FORMAT
    version: int = VERSION
    erased: tuple[str, ...] = ()


class ArchiveTotals(msgspec.Struct, frozen=True):
    """What the last line counts. Both sequences are 0 in an archive without records."""

    events: int = 0
    first_sequence: int = 0
    last_sequence: int = 0


class _End(msgspec.Struct, frozen=True):
    end: ArchiveTotals


class _Line(msgspec.Struct, frozen=True):
    """A record. `body` holds its bytes unchanged if they are one line of JSON; other bytes are in `body_base64`."""

    sequence: int
    recorded_at: datetime
    subject: str
    headers: dict[str, str]
    body: msgspec.Raw = msgspec.Raw(b"")
    body_base64: bytes | None = None


class _OpaqueLine(msgspec.Struct, frozen=True):
    sequence: int
    recorded_at: datetime
    subject: str
    headers: dict[str, str]
    body_base64: bytes


class _JsonLine(msgspec.Struct, frozen=True):
    sequence: int
    recorded_at: datetime
    subject: str
    headers: dict[str, str]
    body: msgspec.Raw


_heads = msgspec.json.Decoder(ArchiveHead)
_ends = msgspec.json.Decoder(_End)
_lines = msgspec.json.Decoder(_Line)
_raws = msgspec.json.Decoder(msgspec.Raw)
_encoder = msgspec.json.Encoder()


class ArchiveEncoder:
    """Turns records, in the order of their sequences, into the bytes of an archive. It keeps one frame in memory."""

    def __init__(self, head: ArchiveHead) -> None:
        self._lines = [_encoder.encode(head)]
        self._size = len(self._lines[0])
        self._events = self._first = self._last = 0

    @property
    def totals(self) -> ArchiveTotals:
        return ArchiveTotals(self._events, self._first, self._last)

    def feed(self, records: Sequence[Recorded]) -> bytes:
        """Return the frames that are complete after these records. Raises ValueError for a sequence that does not
        grow."""
        return b"".join(frame for record in records if (frame := self._add(record)))

    def end(self) -> bytes:
        """Return the rest of the archive."""
        self._lines.append(_encoder.encode(_End(self.totals)))
        return self._frame()

    def _add(self, record: Recorded) -> bytes:
        if record.sequence <= self._last:
            raise ValueError(f"record {record.sequence} after {self._last}")
        line = _line_of(record)
        self._lines.append(line)
        self._size += len(line)
        self._events, self._first, self._last = self._events + 1, self._first or record.sequence, record.sequence
        return self._frame() if self._size >= FRAME_BYTES else b""

    def _frame(self) -> bytes:
        content = b"\n".join([*self._lines, b""])
        self._lines, self._size = [], 0
        return zstd.compress(content, options=_OPTIONS)


class ArchiveDecoder:
    """Takes the bytes of an archive in pieces of any size and returns its records. It keeps one line in memory."""

    def __init__(self) -> None:
        self.head: ArchiveHead | None = None
        self.totals: ArchiveTotals | None = None
        self._frame = zstd.ZstdDecompressor()
        self._is_inside_frame = False
        self._rest = b""
        self._events = self._first = self._last = 0

    def feed(self, piece: bytes) -> list[Recorded]:
        """Return the records that are complete after this piece. Raises ArchiveDamaged."""
        try:
            return [record for content in self._plain(piece) for record in self._records(content)]
        except zstd.ZstdError as error:
            raise ArchiveDamaged(f"a frame cannot be read: {error}") from error

    def end(self) -> ArchiveTotals:
        """Return what the archive held, once all its bytes were fed. Raises ArchiveDamaged if it is not complete."""
        if self.totals is None or self._is_inside_frame:
            raise ArchiveDamaged("it ends before its last line")
        return self.totals

    def _plain(self, piece: bytes) -> list[bytes]:
        contents = []
        while piece or not (self._frame.needs_input or self._frame.eof):
            contents.append(self._frame.decompress(piece, LINE_BYTES_MAX))
            self._is_inside_frame = not self._frame.eof
            piece = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame = zstd.ZstdDecompressor()
        return contents

    def _records(self, content: bytes) -> list[Recorded]:
        *lines, self._rest = (self._rest + content).split(b"\n")
        if len(self._rest) > LINE_BYTES_MAX:
            raise ArchiveDamaged(f"a line has more than {LINE_BYTES_MAX} bytes")
        try:
            return [record for line in lines if (record := self._read(line)) is not None]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ArchiveDamaged(f"after record {self._last}: {error}") from error

    def _read(self, line: bytes) -> Recorded | None:
        if self.head is None:
            self.head = _head(line)
            return None
        if self.totals is not None:
            raise ArchiveDamaged("something follows its last line")
        if line.startswith(_END):
            self.totals = self._checked(_ends.decode(line).end)
            return None
        return self._record(_lines.decode(line))

    def _record(self, line: _Line) -> Recorded:
        if line.sequence <= self._last:
            raise ArchiveDamaged(f"record {line.sequence} stands after record {self._last}")
        self._events, self._first, self._last = self._events + 1, self._first or line.sequence, line.sequence
        body = bytes(line.body) if line.body_base64 is None else line.body_base64
        return Recorded(line.sequence, line.subject, line.headers, body, line.recorded_at)

    def _checked(self, told: ArchiveTotals) -> ArchiveTotals:
        found = ArchiveTotals(self._events, self._first, self._last)
        if told != found:
            raise ArchiveDamaged(f"it holds {found.events} records where its last line counts {told.events}")
        return told


def _head(line: bytes) -> ArchiveHead:
    try:
        head = _heads.decode(line)
    except msgspec.DecodeError as error:
        raise ArchiveDamaged("it is no archive of a batch") from error
    if (head.format, head.version) != (FORMAT, VERSION):
        raise ArchiveDamaged(f"it is {head.format} version {head.version}; this program reads {FORMAT} {VERSION}")
    return head


def _line_of(record: Recorded) -> bytes:
    headers = dict(record.headers)
    if _is_one_json_line(record.body):
        body = msgspec.Raw(record.body)
        return _encoder.encode(_JsonLine(record.sequence, record.recorded_at, record.subject, headers, body))
    return _encoder.encode(_OpaqueLine(record.sequence, record.recorded_at, record.subject, headers, record.body))


def _is_one_json_line(body: bytes) -> bool:
    """Return whether the bytes can be put inside a line and come back unchanged."""
    if not (body.startswith(b"{") and body.endswith(b"}")) or b"\n" in body:
        return False
    try:
        body.decode()
        _raws.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
