"""The routes of judgements and data sets, over the one connection to the API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from vbatch.console.adapters.admin_api import Asks
from vbatch.console.core import curation_objects as curation


@dataclass(frozen=True, slots=True)
class GatewayCurationApi:
    """Implements ports.CurationApi."""

    api: Asks

    async def judgements(self, query: Mapping[str, str]) -> curation.JudgementPage:
        return await self.api.get("/v1/judgements", curation.JudgementPage, query)

    async def judge(self, ask: Mapping[str, object]) -> curation.JudgementPage:
        return await self.api.send("POST", "/v1/judgements", curation.JudgementPage, json.dumps(ask).encode())

    async def withdraw(self, judgement_id: str) -> None:
        await self.api.send("POST", f"/v1/judgements/{quote(judgement_id, safe='')}/withdraw", msgspec.Raw)

    async def datasets(self) -> curation.DatasetList:
        return await self.api.get("/v1/datasets", curation.DatasetList)

    async def create_dataset(self, ask: Mapping[str, object]) -> curation.Dataset:
        return await self.api.send("POST", "/v1/datasets", curation.Dataset, json.dumps(ask).encode())
