"""Compressed request bodies (RFC 9110, 8.4): unpacked as they stream, a bounded piece at a time.

How large an unpacked body may be is for its reader to say, as with a plain one. Here a body is refused that unpacks to
far more than any text does.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from starlette.types import Message, Receive

from vbatch.gateway.core.refusals import Reason, Refusal, encoding_unknown

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES_MAX = 256 * 1024
RATIO_MAX = 1_000
"""Unpacked bytes for each byte sent. Text in files of requests that are nearly alike stays below 300."""
FREE_BYTES = 1 << 20
"""So many may be unpacked whatever their ratio: a small body has no statistics."""
ZSTD_WINDOW_LOG_MAX = 23
"""8 MiB, what RFC 9659 lets a sender of `Content-Encoding: zstd` ask for."""
GZIP_WINDOW_BITS = 31
"""The largest window, and a gzip header and trailer that are checked."""


class Unpacker(Protocol):
    """One compressed stream: what `zlib` and `zstd` have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What `data` unpacks to, at most PIECE_BYTES_MAX at a time."""


class _Gzip:
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(GZIP_WINDOW_BITS)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while piece := self._stream.decompress(data, PIECE_BYTES_MAX):
            yield piece
            data = self._stream.unconsumed_tail


class _Zstd:
    def __init__(self) -> None:
        self._stream = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX})

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def pieces(self, data: bytes) -> Iterator[bytes]:
        yield self._stream.decompress(data, PIECE_BYTES_MAX)
        while not (self._stream.eof or self._stream.needs_input):
            yield self._stream.decompress(b"", PIECE_BYTES_MAX)


UNPACKERS: Mapping[str, Callable[[], Unpacker]] = {"gzip": _Gzip, "x-gzip": _Gzip, "zstd": _Zstd}
TAKEN = ("gzip", "zstd")
TROUBLE = (zlib.error, zstd.ZstdError)


class Unpacking:
    """A whole body: one stream or several behind each other, as both formats allow."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._unpacker = UNPACKERS[encoding]()
        self._is_begun = False
        self._packed_bytes = 0
        self._unpacked_bytes = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Never empty pieces. Raises Refusal."""
        self._packed_bytes += len(data)
        while data:
            if self._unpacker.eof:
                self._unpacker = UNPACKERS[self._encoding]()
            self._is_begun = True
            for piece in self._pieces(data):
                self._count(piece)
                if piece:
                    yield piece
            data = self._unpacker.unused_data if self._unpacker.eof else b""

    def must_be_whole(self) -> None:
        """Raises Refusal for a stream that was cut off; no bytes at all are an empty body."""
        if self._is_begun and not self._unpacker.eof:
            raise self._unreadable("it ends in the middle")

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        try:
            yield from self._unpacker.pieces(data)
        except TROUBLE as error:
            why = "it is another stream or a damaged one (the whole body is compressed, not a file in a form)"
            raise self._unreadable(why) from error

    def _count(self, piece: bytes) -> None:
        self._unpacked_bytes += len(piece)
        if self._unpacked_bytes > FREE_BYTES + RATIO_MAX * self._packed_bytes:
            raise self._unreadable(f"it unpacks to more than {RATIO_MAX} times its size")

    def _unreadable(self, why: str) -> Refusal:
        message = f"The body of your request cannot be read as Content-Encoding '{self._encoding}': {why}."
        return Refusal(Reason.BODY_UNREADABLE, message)


class UnpackedBody:
    """ASGI's `receive` for a request whose body is compressed."""

    def __init__(self, receive: Receive, encoding: str) -> None:
        self._receive = receive
        self._encoding = encoding
        self._unpacking: Unpacking | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._is_read = self._is_whole = False

    async def receive(self) -> Message:
        """Raises Refusal when somebody reads the body: routes that read none take any."""
        while not self._is_whole:
            if piece := next(self._pieces, b""):
                return _part(piece, more_body=True)
            if self._is_read:
                self._is_whole = True
                self._opened().must_be_whole()
                return _part(b"", more_body=False)
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._is_read = not message.get("more_body", False)
            self._pieces = self._opened().feed(message.get("body", b""))
        return await self._receive()

    def _opened(self) -> Unpacking:
        if self._unpacking is None:
            if self._encoding not in UNPACKERS:
                raise encoding_unknown(self._encoding, TAKEN)
            self._unpacking = Unpacking(self._encoding)
        return self._unpacking


def unpacked(receive: Receive, encodings: str) -> Receive:
    """`receive` for the value of a Content-Encoding header; empty and `identity` change nothing."""
    encoding = encodings.strip().lower()
    return receive if encoding in ("", "identity") else UnpackedBody(receive, encoding).receive


def _part(content: bytes, *, more_body: bool) -> Message:
    return {"type": "http.request", "body": content, "more_body": more_body}
