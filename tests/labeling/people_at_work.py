"""People who judge with the SDK of Label Studio, and in its pages with a real Chromium."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from playwright.async_api import Page, async_playwright, expect

from tests.console.conftest import CHROMIUM_ARGUMENTS
from tests.labeling.label_studio import LEGACY_TOKEN, MAIL, PASSWORD, PROGRAM, LabelStudioServer
from tests.support.paths import ROOT
from vbatch.contracts.curation import Verdict
from vbatch.labeler.core.templates import HOTKEYS

JUDGING = ROOT / "tests" / "labeling" / "sdk_judging.py"
CHROMIUM = "/usr/bin/chromium"
WAIT_MILLISECONDS_MAX = 120_000
SDK_SECONDS_MAX = 180.0
KEY_SECONDS = 1.0
"""For the page to show what a key did."""
SUBMIT = "Submit current annotation"


async def judge_with_sdk(server: LabelStudioServer, verdict: str, task_ids: Sequence[int]) -> None:
    python = PROGRAM.parent / "python"
    arguments = [str(python), str(JUDGING), server.url, LEGACY_TOKEN, verdict, *map(str, task_ids)]
    process = await asyncio.create_subprocess_exec(*arguments, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(SDK_SECONDS_MAX):
        _, trouble = await process.communicate()
    assert process.returncode == 0, trouble.decode()


@dataclass
class Browser:
    """One person in the pages of one project."""

    page: Page
    project_url: str

    async def judge(self, task_id: int, verdict: Verdict) -> str:
        """Judge a task by the hotkey of a verdict, and return the answer that the page had filled in."""
        await self.page.goto(f"{self.project_url}/data?task={task_id}")
        submit = self.page.get_by_role("button", name=SUBMIT)
        await expect(submit).to_be_visible()
        filled: str = await self.page.get_by_test_id("htx-textbox-view").first.inner_text()
        await self._press(verdict)
        async with self.page.expect_response(lambda answer: "/annotations" in answer.url and answer.status == 201):
            await submit.click()
        return filled

    async def _press(self, verdict: Verdict) -> None:
        """The page shows its choices a moment before it listens to their keys."""
        choice = self.page.locator(f"input[name={verdict}]")
        async with asyncio.timeout(WAIT_MILLISECONDS_MAX / 1_000):
            while not await choice.is_checked():
                await self.page.keyboard.press(HOTKEYS[verdict])
                await asyncio.sleep(KEY_SECONDS)


@asynccontextmanager
async def browser_at(server: LabelStudioServer, project_id: int) -> AsyncIterator[Browser]:
    """Someone who has logged in."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        page = await browser.new_page()
        page.set_default_timeout(WAIT_MILLISECONDS_MAX)
        expect.set_options(timeout=WAIT_MILLISECONDS_MAX)
        await page.goto(f"{server.url}/user/login/")
        await page.fill("input[name=email]", MAIL)
        await page.fill("input[name=password]", PASSWORD)
        await page.click("button[type=submit]")
        await page.wait_for_url(lambda url: "/login" not in url)
        yield Browser(page, f"{server.url}/projects/{project_id}")
        await browser.close()
