"""A listening socket and its error. This module is separate from the servers, which are slow to import."""

from __future__ import annotations

import socket

CONNECTIONS_WAITING_MAX = 1024


class PortTaken(Exception):
    """The port belongs to another process."""


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a bound socket. Bind it first, so that a taken port is known before anything is written. Raises
    PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Name TCP explicitly; otherwise asyncio leaves Nagle's delay on and every small answer takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(CONNECTIONS_WAITING_MAX)
    except OSError as error:
        listener.close()
        raise PortTaken(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return listener
