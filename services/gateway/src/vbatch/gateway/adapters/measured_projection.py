"""The projection for the flows, which measures how long each wait takes."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from prometheus_client import Histogram

from vbatch.gateway.ports import Projection


@dataclass(frozen=True, slots=True)
class MeasuredProjection:
    """Implements ports.Projection."""

    inner: Projection
    seconds: Histogram

    async def reaches(self, sequence: int, seconds_max: float) -> bool:
        began = perf_counter()
        try:
            return await self.inner.reaches(sequence, seconds_max)
        finally:
            self.seconds.observe(perf_counter() - began)
