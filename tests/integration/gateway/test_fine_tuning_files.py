"""Exports for OpenAI keep the rules that OpenAI checks of a file for fine-tuning."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.gateway.stage import Stage
from tests.integration.gateway.varied import judged_batches
from tests.support.fine_tuning import faults_of_chats, faults_of_preferences

pytestmark = pytest.mark.integration


async def exported(stage: Stage, export_format: str) -> list[Any]:
    path = f"/v1/datasets/support/versions/1/export?format={export_format}&lineage=false"
    return [json.loads(line) for line in (await stage.ask("GET", path)).body.splitlines()]


async def test_exports_for_openai_are_valid_files_for_fine_tuning(stage: Stage):
    batch_ids = await judged_batches(stage)
    await stage.ask("POST", "/v1/datasets", json={"name": "support", "batch_ids": batch_ids, "test_share": 0})
    chats, preferences = await exported(stage, "openai-chat"), await exported(stage, "openai-preference")
    assert (len(chats), len(preferences)) == (13, 13)
    assert faults_of_chats(chats) == faults_of_preferences(preferences) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ({"messages": []}, "no list of messages"),
        ({"messages": [{"role": "user", "content": "Hi"}]}, "no message is an assistant's"),
        ({"messages": [{"role": "human", "content": "Hi"}]}, "human is no role"),
        ({"messages": [{"role": "assistant", "content": ""}]}, "a message is empty"),
        ({"messages": [{"role": "assistant", "content": "Hi"}], "lineage": {}}, "lineage is unknown"),
    ],
)
def test_a_broken_line_is_found(line: dict[str, Any], fault: str):
    assert any(fault in found for found in faults_of_chats([line] * 10))
