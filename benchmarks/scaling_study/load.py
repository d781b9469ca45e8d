"""The load that a fleet puts on the scheduler, the log and results in a second, calculated from the product's own
limits."""

from __future__ import annotations

from dataclasses import dataclass

from vbatch.scheduler.core.decide import SLICE_REQUESTS_MAX

DAY_SECONDS = 86_400.0
CHUNK_SECONDS = 0.5
CHUNK_REQUESTS_MAX = 256
"""A runner records a chunk at the latest after this time, or when it holds this many outcomes
(docs/architecture.md)."""
BATCH_REQUESTS = 1_000
"""The mean batch of this study."""
BATCH_EVENTS = 6
"""The events of one batch: created, validated, finalizing, two files stored, completed."""
FLEETS = ((1, 10**6), (8, 10**7), (64, 10**8), (512, 10**9))
"""Devices, and requests per day."""


@dataclass(frozen=True, slots=True)
class Load:
    """A number of devices that answer this many requests a day, evenly over the day."""

    devices: int
    requests_a_day: int

    @property
    def requests_a_second(self) -> float:
        return self.requests_a_day / DAY_SECONDS

    @property
    def chunks_a_second(self) -> float:
        """Chunks per second: a slow device records what it has twice a second, and a fast one records full chunks."""
        of_one = self.requests_a_second / self.devices
        return self.devices * min(of_one, max(1.0 / CHUNK_SECONDS, of_one / CHUNK_REQUESTS_MAX))

    @property
    def requests_a_chunk(self) -> int:
        return max(1, round(self.requests_a_second / self.chunks_a_second))

    @property
    def slices_a_second(self) -> float:
        return self.requests_a_second / SLICE_REQUESTS_MAX

    @property
    def events_a_second(self) -> float:
        """All events of the log per second: chunks, slices, and the events of batches."""
        batches = self.requests_a_second / BATCH_REQUESTS
        return self.chunks_a_second + self.slices_a_second + BATCH_EVENTS * batches
