"""How a command ends: exit codes, and the only kind of error that people see.

Library errors become a `CommandError` where they arise; `ending` prints it, so no command shows a traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum


class Exit(IntEnum):
    GOOD = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    INTERRUPTED = 130


EXIT_MEANINGS: Mapping[Exit, str] = {
    Exit.GOOD: "The command did what it was asked to do.",
    Exit.FAILED: "The command ran, and what it was about did not end well: a batch did not complete, a program is not "
    "ready, two read models differ.",
    Exit.USAGE: "The command line or a setting cannot be used; the message names it.",
    Exit.UNREACHABLE: "Nobody answers at that address. Trying again later can help.",
    Exit.REFUSED: "The server understood the request and refused it.",
    Exit.INTERRUPTED: "Ctrl-C ended the command. A batch that it watched keeps running.",
}
"""For people; docs/cli.md is generated from it."""


class CommandError(Exception):
    """The text says what went wrong and what to do, in one or two sentences."""

    exit = Exit.FAILED


class Misused(CommandError):
    """The command line asks for something impossible."""

    exit = Exit.USAGE


class Unreachable(CommandError):
    """The server does not answer. Trying again later can help."""

    exit = Exit.UNREACHABLE


class Refused(CommandError):
    """The server understood the request and refused it."""

    exit = Exit.REFUSED


@contextmanager
def ending() -> Iterator[None]:
    """Turn a CommandError or Ctrl-C into a message on stderr and an exit code."""
    try:
        yield
    except CommandError as error:
        print(f"vbatch: {error}", file=sys.stderr)
        raise SystemExit(int(error.exit)) from None
    except KeyboardInterrupt:
        raise SystemExit(int(Exit.INTERRUPTED)) from None
    except BrokenPipeError:
        sys.stderr.close()  # the reader has left, as in `vbatch events | head`; avoids the interpreter's error message
        raise SystemExit(int(Exit.GOOD)) from None
