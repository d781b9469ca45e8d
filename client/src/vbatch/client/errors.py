"""What the client raises. Every message says what went wrong and what to do."""

from __future__ import annotations


class ClientError(Exception):
    """The root of all errors of this package that are no fault of the caller's program."""


class Unreachable(ClientError):
    """The server does not answer, or its answer broke off; trying again later can help."""


class Silent(Unreachable):
    """Nothing came for `transport.SILENCE_SECONDS_MAX`."""


class Refused(ClientError):
    """The server understood the request and refused it. `code` and `param` are those of its error, if it named any."""

    def __init__(self, message: str, *, status: int, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


class BadUrl(ClientError, ValueError):
    """The address of the server is no URL."""


class AnswerNotUnderstood(ClientError):
    """The server's answer is none of a vLLM Batch Server."""


class TableError(ClientError):
    """A table cannot be read, or its rows cannot become requests, or answers cannot be joined to it. Nothing was
    uploaded or overwritten."""


class PackageMissing(TableError):
    """A package that is only needed for some formats is not installed; the message says how to install it."""
