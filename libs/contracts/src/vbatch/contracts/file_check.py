"""What the scheduler reports to the gateway about a file before it becomes a batch."""

from __future__ import annotations

import msgspec

from vbatch.contracts.events import BatchFault
from vbatch.contracts.ids import ModelId


class FileChecked(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a file can run at an endpoint. A file that cannot has faults, in line order, and no `model`; a file for
    several models has no `model` either.

    `work_seconds` is how long its requests take on one device that does nothing else, without the load of the model.
    `is_guess` says that the model was measured too little so far.
    """

    requests: int
    model: ModelId | None
    faults: tuple[BatchFault, ...] = ()
    work_seconds: float | None = None
    is_guess: bool = False
