"""What the scheduler reports to the gateway about a file and its work, for a dry run."""

from __future__ import annotations

from datetime import datetime

import msgspec

from vbatch.contracts.events import BatchFault
from vbatch.contracts.ids import ModelId

LINES_DEFAULT, LINES_MAX = 3, 16
"""How many lines a dry run runs."""
SAMPLE_MAX = 32
"""The number of lines whose tokens are counted."""


class PlacedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A request of the file, and where its bytes are."""

    line: int
    offset: int
    length: int


class FileSample(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was checked. `tried` are the lines to run: the first, the longest, and others evenly between.

    `sampled` are spread evenly over the whole file. A file with faults has neither.
    """

    requests: int
    model: ModelId | None
    faults: tuple[BatchFault, ...] = ()
    input_bytes: int = 0
    tried: tuple[PlacedLine, ...] = ()
    sampled: tuple[PlacedLine, ...] = ()


class RunEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """How long the work would take on one device, and when it would end behind today's queue; None without a runner.

    `output_tokens_a_request` is the mean of the model so far, None before its first answer. `is_guess` says that the
    model was measured too little so far.
    """

    work_seconds: float
    is_guess: bool
    output_tokens_a_request: float | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    ends_at_earliest: datetime | None = None
    ends_at_latest: datetime | None = None
