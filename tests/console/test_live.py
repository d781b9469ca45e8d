"""A page that is open stays true, says so when it cannot, and asks for nothing while nobody looks."""

from __future__ import annotations

import re
import urllib.request

from playwright.sync_api import Page, expect

from tests.console.work import Console, chat_lines, is_live
from tests.support.stack import wait_until


def open_streams(console: Console) -> int:
    with urllib.request.urlopen(f"{console.url}/metrics", timeout=10) as answer:
        found = re.search(r"^vbatch_console_streams (\d+)", answer.read().decode(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_a_page_outlives_the_gateway(page: Page, console: Console):
    page.goto("/batches")
    is_live(page)
    console.kill("gateway")
    expect(page.locator(".stale-bar")).to_contain_text("Not live since")
    console.stack.wait_until_ready()
    is_live(page)
    expect(page.locator(".stale-bar")).to_be_hidden()
    batch_id = console.submit(chat_lines(3), name="After the return")
    expect(page.locator("tbody")).to_contain_text("After the return")
    console.wait_for(batch_id, "completed")


def test_a_page_outlives_the_console(page: Page, console: Console):
    page.goto("/events")
    is_live(page)
    console.kill("console")
    expect(page.locator(".stale-bar")).to_be_visible(timeout=10_000)
    console.stack.wait_until_ready()
    is_live(page)


def test_a_hidden_page_closes_its_stream(page: Page, console: Console):
    page.goto("/")
    is_live(page)
    before = open_streams(console)
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true}); "
    page.evaluate(hide % "true" + "document.dispatchEvent(new Event('visibilitychange'))")
    wait_until(lambda: open_streams(console) == before - 1, "the stream of the hidden page is closed", 10)
    page.evaluate(hide % "false" + "document.dispatchEvent(new Event('visibilitychange'))")
    is_live(page)


def test_two_pages_see_the_same(page: Page, console: Console):
    other = page.context.new_page()
    for each in (page, other):
        each.goto("/events")
        is_live(each)
    batch_id = console.submit(chat_lines(2), name="Seen twice")
    for each in (page, other):
        expect(each.locator("tbody")).to_contain_text(batch_id)
    console.wait_for(batch_id, "completed")
