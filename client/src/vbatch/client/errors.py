"""The errors of the client. Every message says what went wrong and what to do."""

from __future__ import annotations


class ClientError(Exception):
    """The base of all errors of this package that are not a fault of the caller's program."""


class Unreachable(ClientError):
    """The server does not answer, or its answer broke off. Trying again later can help."""


class Silent(Unreachable):
    """Nothing arrived for `transport.SILENCE_SECONDS_MAX`."""


class Refused(ClientError):
    """The server understood the request and refused it. `code` and `param` are those of its error, if it named any."""

    def __init__(self, message: str, *, status: int, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


class BadUrl(ClientError, ValueError):
    """The address of the server is not a URL."""


class AnswerNotUnderstood(ClientError):
    """The server's answer is not one of a vLLM Batch Server."""


class TableError(ClientError):
    """A table cannot be read, its rows cannot become requests, or answers cannot be joined to it. Nothing was uploaded
    or overwritten."""


class PackageMissing(TableError):
    """A package that is needed only for some formats is not installed. The message says how to install it."""
