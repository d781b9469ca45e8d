"""Runs every case; one line of JSON for each goes to stdout."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.conformance.cases import (
    batches,
    curating,
    endings,
    families,
    faults,
    files,
    interactive,
    lists,
    models,
    observing,
    outcomes,
    steering,
    uploads,
    webhooks,
    wire,
)
from tests.conformance.cases.server import Server

SUBJECTS = (
    wire,
    models,
    files,
    uploads,
    lists,
    batches,
    faults,
    outcomes,
    endings,
    families,
    steering,
    webhooks,
    observing,
    interactive,
    curating,
)
Case = Callable[[Server], Any]


def cases_of(subject: ModuleType) -> Iterator[tuple[str, Case]]:
    """The functions of a module that begin with no underscore, in the order they stand there."""
    for name, case in list(vars(subject).items()):
        if inspect.isfunction(case) and case.__module__ == subject.__name__ and not name.startswith("_"):
            yield f"{subject.__name__.rpartition('.')[2]}.{name}", case


def run(case: Case, server: Server) -> str | None:
    """What went wrong; None when nothing did."""
    try:
        done = case(server)
        if inspect.isawaitable(done):
            asyncio.run(done)  # type: ignore[arg-type]  # a case that awaits is a coroutine function
    except Exception:  # noqa: BLE001  # whatever a client raises is told by the test that started this
        return traceback.format_exc(limit=-4)
    return None


def main(url: str, folder: str) -> None:
    server = Server(url, Path(folder))
    for subject in SUBJECTS:
        for name, case in cases_of(subject):
            sys.stdout.write(json.dumps({"case": name, "fault": run(case, server)}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
