"""What the scheduler says of a file before it becomes a batch, as it goes from there to the gateway."""

from __future__ import annotations

import msgspec

from vbatch.contracts.events import BatchFault
from vbatch.contracts.ids import ModelId


class FileChecked(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a file is fit to run at an endpoint. An unfit one has faults, in line order, and no `model`; neither has
    one for several models.

    `work_seconds` is what its requests take on one device that does nothing else, the load of the model left out;
    `is_guess`: too little was measured yet of the model.
    """

    requests: int
    model: ModelId | None
    faults: tuple[BatchFault, ...] = ()
    work_seconds: float | None = None
    is_guess: bool = False
