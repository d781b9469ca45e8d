"""What a worker process does: it reads one input file and checks it. It imports little: each worker pays for it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from vbatch.chassis.blobs import BlobMissing, Blobs, BlobTrouble, open_blobs
from vbatch.chassis.parent import die_with_parent
from vbatch.contracts.orders import RequestRef
from vbatch.scheduler.adapters.plans import KeptPlans
from vbatch.scheduler.core.decide import PlanResult
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.planning.validation import FileCheck, FileRules
from vbatch.scheduler.ports import InputMissing, PlanningTrouble

BLOCK_BYTES = 1 << 20

RECURSION_MAX = 600
"""Lines nested deeper are refused. The limit is lower than elsewhere, so that later readers accept the line."""


def check_file(blob_url: str, blob: str, rules: FileRules, plans: KeptPlans | None) -> PlanResult:
    """Check one file. Raises only errors that can cross to the service: InputMissing, PlanningTrouble."""
    plans = plans if rules.model is None else None  # a kept plan is one of the models that the lines name
    if plans is not None and rules.was_found_fit and (plan := plans.find(blob)) is not None:
        return plan
    result = _checked(blob_url, blob, rules)
    if plans is not None and isinstance(result, Plan):
        plans.keep(blob, result)
    return result


def _checked(blob_url: str, blob: str, rules: FileRules) -> PlanResult:
    sys.setrecursionlimit(RECURSION_MAX)
    check, blobs = FileCheck(rules), open_blobs(blob_url)

    def read_again(refs: Sequence[RequestRef]) -> list[bytes]:
        return asyncio.run(blobs.read_ranges(blob, [(ref.offset, ref.length) for ref in refs]))

    try:
        asyncio.run(_feed(check, blobs, blob))
        return check.result(read_again)
    except BlobMissing as error:
        raise InputMissing(str(error)) from error
    except BlobTrouble as error:
        raise PlanningTrouble(str(error)) from error


def begin(service: int, niceness: int) -> None:
    """Initialise the worker; `service` is the pid of the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the service, which stops the workers
    die_with_parent(signal.SIGKILL, parent=service)  # the service may have been killed during our imports
    os.nice(niceness)


def be_there() -> None:
    """The first task of a worker; its imports are done when it runs."""


async def _feed(check: FileCheck, blobs: Blobs, blob: str) -> None:
    async for block in blobs.read_stream(blob, chunk_bytes=BLOCK_BYTES):
        check.feed(bytes(block))
        if check.is_hopeless:
            break
