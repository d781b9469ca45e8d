"""The canned gateway as a fixture, and settings that no variable of the caller reaches."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.cli.canned_gateway import CannedGateway, canned_gateway


@pytest.fixture
async def gateway(monkeypatch: pytest.MonkeyPatch, tmp_path) -> AsyncIterator[CannedGateway]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VBATCH_HOME", str(tmp_path))
    monkeypatch.setenv("VBATCH_NATS_URL", "nats://127.0.0.1:1")
    async with canned_gateway() as running:
        yield running
