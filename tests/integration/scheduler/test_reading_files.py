"""Input files read from a blob store by the worker process."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.prefix_cache import question_major
from vbatch.chassis.blobs import Blobs, open_blobs
from vbatch.contracts.failures import FileFault
from vbatch.contracts.ids import ModelId
from vbatch.contracts.lines import parse_request_line
from vbatch.scheduler.adapters import planner
from vbatch.scheduler.adapters.planner import ProcessPlanner, process_planner
from vbatch.scheduler.adapters.plans import PLANS_MAX, KeptPlans
from vbatch.scheduler.core.decide import PlanResult
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.planning.validation import FileRules
from vbatch.scheduler.ports import InputMissing

CHAT = "/v1/chat/completions"
RULES = FileRules(CHAT, {ModelId("small"): (CHAT,)})

pytestmark = pytest.mark.integration


class Desk:
    """Files are put on it, and judged."""

    def __init__(self, blobs: Blobs, made: ProcessPlanner) -> None:
        self._blobs, self._planner = blobs, made

    async def judge(self, content: bytes, name: str = "in") -> PlanResult:
        async with self._blobs.writer(name) as writer:
            await writer.write(content)
        return await self._planner.plan(name, len(content), RULES)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    url = f"file://{tmp_path}"
    async with process_planner(url) as made:
        yield Desk(open_blobs(url), made)


def line(custom_id: str, content: str = "hi") -> bytes:
    body = {"model": "small", "messages": [{"role": "user", "content": content}]}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body}).encode() + b"\n"


def nested(depth: int) -> bytes:
    return line("a").replace(b'"hi"', b"[" * depth + b"]" * depth)


async def test_the_plan_brings_questions_about_one_document_together(desk: Desk):
    prompts = question_major(documents=20, questions=3)
    plan = await desk.judge(b"".join(line(str(number), prompt) for number, prompt in enumerate(prompts)))
    assert isinstance(plan, Plan)
    assert list(plan.order) == [1 + document + 20 * question for document in range(20) for question in range(3)]


async def test_a_small_file_does_not_wait_for_a_large_one(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(planner, "LONG_FILE_BYTES", 1_000_000)
    many = b"".join(line(str(number)) for number in range(RULES.lines_max))
    await desk.judge(line("a"), "small")  # its worker is there
    long = [asyncio.ensure_future(desk.judge(many, f"large-{number}")) for number in range(2)]
    await asyncio.sleep(0)
    assert isinstance(await desk.judge(line("a"), "small"), Plan)
    assert not any(each.done() for each in long)
    assert all(isinstance(verdict, Plan) for verdict in await asyncio.gather(*long))


async def test_the_plan_of_a_long_file_that_was_found_fit_outlives_its_scheduler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(planner, "LONG_FILE_BYTES", 1)
    url, prompts = f"file://{tmp_path}", question_major(documents=20, questions=3)
    content = b"".join(line(str(number), prompt) for number, prompt in enumerate(prompts))
    async with process_planner(url, tmp_path / "plans") as made:
        first = await Desk(open_blobs(url), made).judge(content)
    await open_blobs(url).delete("in")  # so that it cannot be read again
    async with process_planner(url, tmp_path / "plans") as made:
        assert await made.plan("in", len(content), replace(RULES, was_found_fit=True)) == first
        with pytest.raises(InputMissing):
            await made.plan("in", len(content), RULES)


async def test_the_newest_plans_are_kept_and_a_broken_one_is_none(tmp_path: Path):
    plans = KeptPlans(tmp_path)
    for number in range(PLANS_MAX + 2):
        plans.keep(f"files/{number}", Plan(ModelId("small")))
        os.utime(tmp_path / f"files_{number}.plan", (number, number))
    assert [plans.find(f"files/{number}") is None for number in range(4)] == [True, True, False, False]
    (tmp_path / "files_3.plan").write_bytes(b"broken")
    assert plans.find("files/3") is None


def test_plans_of_other_files_than_those_named_are_forgotten(tmp_path: Path):
    plans = KeptPlans(tmp_path)
    for blob in ("files/read", "files/ended"):
        plans.keep(blob, Plan(ModelId("small")))
    plans.keep_only({"files/read"})
    assert plans.find("files/read") is not None
    assert os.listdir(tmp_path) == ["files_read.plan"]


async def test_duplicates_far_apart_are_found_by_reading_them_again(desk: Desk):
    filling = "x" * 100_000
    content = b"".join(line(str(number), filling) for number in range(60))
    verdict = await desk.judge(content + b"".join(line(str(number), filling) for number in range(59, -1, -1)))
    assert not isinstance(verdict, Plan)
    assert [(fault.code, fault.line) for fault in verdict] == [
        (FileFault.DUPLICATE_CUSTOM_ID, number) for number in range(61, 121)
    ]


async def test_what_is_nested_too_deep_for_the_services_that_read_it_later_is_refused(desk: Desk):
    verdict = await desk.judge(nested(800))
    assert not isinstance(verdict, Plan)
    assert [(fault.code, fault.line) for fault in verdict] == [(FileFault.INVALID_JSON_LINE, 1)]


async def test_what_is_nested_less_deep_passes_and_can_be_read(desk: Desk):
    assert isinstance(await desk.judge(nested(500)), Plan)
    assert parse_request_line(nested(500)).custom_id == "a"
