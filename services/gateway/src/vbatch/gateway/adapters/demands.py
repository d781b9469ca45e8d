"""Tells the scheduler that clients wait for a model, with the token of the interactive lane."""

from __future__ import annotations

import aiohttp
import msgspec

from vbatch.contracts.ids import ModelId
from vbatch.contracts.lane import DEMAND_PATH, DemandAnswer
from vbatch.gateway.ports import SchedulerUnavailable

ANSWER_SECONDS_MAX = 2.0
ANSWER_BYTES_MAX = 64 << 10


class SchedulerDemands:
    """Implements ports.DemandFeed."""

    def __init__(self, url: str, token: str, http: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/") + DEMAND_PATH
        self._token = {"Authorization": f"Bearer {token}"}
        self._http = http

    async def ask(self, model: ModelId) -> DemandAnswer:
        limit = aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)
        try:
            async with self._http.post(
                self._url, params={"model": model}, headers=self._token, timeout=limit
            ) as answer:
                if answer.status != 200:
                    raise SchedulerUnavailable(f"{DEMAND_PATH} is answered {answer.status}")
                return msgspec.json.decode(await answer.content.read(ANSWER_BYTES_MAX), type=DemandAnswer)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as error:
            raise SchedulerUnavailable(f"{type(error).__name__}: {error}") from error
