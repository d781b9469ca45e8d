"""Unpacks compressed request bodies (RFC 9110, 8.4) as they arrive, in pieces of bounded size.

The reader of a body limits its unpacked size, as it does for an uncompressed body. This module refuses a body whose
compression ratio is far above that of any text.
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
"""The most unpacked bytes for each byte sent. Files of nearly identical requests stay below 300."""
FREE_BYTES = 1 << 20
"""This many bytes may be unpacked at any ratio, because the ratio of a small body means little."""
ZSTD_WINDOW_LOG_MAX = 23
"""8 MiB, the most that RFC 9659 lets a sender of `Content-Encoding: zstd` require."""
GZIP_WINDOW_BITS = 31
"""The largest window, with a gzip header and trailer that are checked."""


class Unpacker(Protocol):
    """One compressed stream: what `zlib` and `zstd` have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield the unpacked `data`, at most PIECE_BYTES_MAX at a time."""


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
    """Unpacks a whole body: one stream, or several in sequence, as both formats allow."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._unpacker = UNPACKERS[encoding]()
        self._is_begun = False
        self._packed_bytes = 0
        self._unpacked_bytes = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield pieces, none of them empty. Raises Refusal."""
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
        """Raises Refusal for a truncated stream; a body without any bytes is empty."""
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
    """ASGI's `receive` for a request with a compressed body."""

    def __init__(self, receive: Receive, encoding: str) -> None:
        self._receive = receive
        self._encoding = encoding
        self._unpacking: Unpacking | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._is_read = self._is_whole = False

    async def receive(self) -> Message:
        """Raises Refusal when the body is read; routes that read no body never call it."""
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
    """Return `receive` for the value of a Content-Encoding header; empty and `identity` change nothing."""
    encoding = encodings.strip().lower()
    return receive if encoding in ("", "identity") else UnpackedBody(receive, encoding).receive


def _part(content: bytes, *, more_body: bool) -> Message:
    return {"type": "http.request", "body": content, "more_body": more_body}
