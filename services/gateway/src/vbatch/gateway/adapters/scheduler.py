"""Reads the scheduler's forecasts. The queue is fetched in the background and kept, every second while clients read it,
so reading a batch never waits for the scheduler. Only an explanation is fetched while a client waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TypeVar

import aiohttp
import msgspec

from vbatch.chassis.logs import get_logger
from vbatch.contracts.dry_run import FileSample, RunEstimate
from vbatch.contracts.file_check import FileChecked
from vbatch.contracts.forecast import Explanation, Forecast, ForecastEntry
from vbatch.contracts.ids import BatchId
from vbatch.gateway.core.dry_run import EstimateParams
from vbatch.gateway.ports import SchedulerUnavailable

FETCH_EVERY_SECONDS = 1.0
REST_SECONDS_MAX = 5.0
"""The time between two fetches while no client reads the forecast: the processor is left to the engine."""
ANSWER_SECONDS_MAX = 2.0
CHECK_SECONDS_MAX = 70.0
"""A file is checked by a worker that may have another file to check first."""
FRESH_SECONDS = 10.0
"""An older forecast is not used: the scheduler does not answer, or its machine does not."""
ANSWER_BYTES_MAX = 8 << 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Kept:
    forecast: Forecast
    batches: Mapping[BatchId, ForecastEntry]
    fetched_at: float


class SchedulerFeed:
    """Implements ports.ForecastFeed; fetches while `run` runs."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/")
        self._http = http
        self._kept: _Kept | None = None
        self._is_lost = False
        self._looked_at = asyncio.Event()

    def of(self, batch_id: BatchId) -> ForecastEntry | None:
        kept = self._fresh()
        return kept.batches.get(batch_id) if kept else None

    def forecast(self) -> Forecast:
        kept = self._fresh()
        if kept is None:
            raise SchedulerUnavailable("no forecast has come lately")
        return kept.forecast

    async def why(self, batch_id: BatchId) -> Explanation | None:
        return await self._get(f"/why/{batch_id}", Explanation)

    async def if_priority(self, batch_id: BatchId, priority: int) -> Forecast | None:
        return await self._get(f"/what-if/{batch_id}", Forecast, {"priority": str(priority)})

    async def check(self, blob: str, file_bytes: int, endpoint: str) -> FileChecked:
        query = {"blob": blob, "bytes": str(file_bytes), "endpoint": endpoint}
        checked = await self._get("/check", FileChecked, query, seconds_max=CHECK_SECONDS_MAX)
        if checked is None:
            raise SchedulerUnavailable(f"the bytes of {blob} are not there")
        return checked

    async def sample(self, blob: str, file_bytes: int, endpoint: str, lines: int) -> FileSample:
        query = {"blob": blob, "bytes": str(file_bytes), "endpoint": endpoint, "lines": str(lines)}
        sample = await self._get("/sample", FileSample, query, seconds_max=CHECK_SECONDS_MAX)
        if sample is None:
            raise SchedulerUnavailable(f"the bytes of {blob} are not there")
        return sample

    async def estimate(self, work: EstimateParams) -> RunEstimate:
        query = {name: str(value) for name, value in asdict(work).items()}
        estimate = await self._get("/estimate", RunEstimate, query)
        if estimate is None:
            raise SchedulerUnavailable("it makes no estimates")
        return estimate

    async def run(self) -> None:
        """Run until cancelled, reconnecting when the scheduler returns."""
        while True:
            try:
                await self._fetch()
            except SchedulerUnavailable as error:
                if not self._is_lost:
                    get_logger().warning("scheduler_lost", error=str(error))
                self._is_lost = True
            self._looked_at.clear()
            await asyncio.sleep(FETCH_EVERY_SECONDS)
            await self._rest()

    async def _rest(self) -> None:
        """Wait until a client reads the forecast; that client gets the kept one, the next client a new one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(REST_SECONDS_MAX - FETCH_EVERY_SECONDS):
                await self._looked_at.wait()

    async def _fetch(self) -> None:
        forecast = await self._get("/queue", Forecast)
        if forecast is not None:
            self._kept = _Kept(forecast, {batch.batch_id: batch for batch in forecast.batches}, _clock())
            self._is_lost = False

    def _fresh(self) -> _Kept | None:
        self._looked_at.set()
        kept = self._kept
        return kept if kept is not None and _clock() - kept.fetched_at < FRESH_SECONDS else None

    async def _get(
        self,
        path: str,
        kind: type[T],
        query: Mapping[str, str] | None = None,
        *,
        seconds_max: float = ANSWER_SECONDS_MAX,
    ) -> T | None:
        """Return None if the object does not exist. Raises SchedulerUnavailable."""
        limit = aiohttp.ClientTimeout(total=seconds_max)
        try:
            async with self._http.get(self._url + path, params=query, timeout=limit) as answer:
                if answer.status == 404:
                    return None
                if answer.status != 200:
                    raise SchedulerUnavailable(f"{path} is answered {answer.status}")
                return msgspec.json.decode(await answer.content.read(ANSWER_BYTES_MAX), type=kind)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as error:
            raise SchedulerUnavailable(f"{type(error).__name__}: {error}") from error


@asynccontextmanager
async def scheduler_feed(url: str) -> AsyncIterator[SchedulerFeed]:
    """Open the feed; nothing is fetched before `run`."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)) as http:
        yield SchedulerFeed(url, http)


def _clock() -> float:
    return asyncio.get_running_loop().time()
