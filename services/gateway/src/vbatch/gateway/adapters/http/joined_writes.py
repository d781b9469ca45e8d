"""A transport that sends the head of an answer together with its body.

uvicorn writes them one after the other. As two packets they cost two system calls and wake the client twice, which
takes longer than all else that is done for a short answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

JOINED_BYTES_MAX = 64 * 1024
"""A larger piece is not copied, but written for itself."""


class JoinedWrites(asyncio.Transport):
    """Holds a piece until the next one, but at most until the end of this turn of the event loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._held = b""

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self._held:
            self._write_with_held(bytes(data))
        elif 0 < len(data) <= JOINED_BYTES_MAX:
            self._held = bytes(data)
            self._loop.call_soon(self._release)
        else:
            self._transport.write(data)

    def close(self) -> None:
        self._release()
        self._transport.close()

    def abort(self) -> None:
        self._held = b""
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401  # as asyncio has it
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    def _write_with_held(self, data: bytes) -> None:
        held, self._held = self._held, b""
        if len(data) <= JOINED_BYTES_MAX:
            self._transport.write(held + data)
        else:
            self._transport.write(held)
            self._transport.write(data)

    def _release(self) -> None:
        if self._held:
            self._write_with_held(b"")
