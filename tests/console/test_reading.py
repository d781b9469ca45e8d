"""Answers are searched, filtered, read in every shape and taken away; a batch's life is gone back through."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from tests.console.work import Console, chat_lines

MANY = 1_500
ROWS_MAX = 420
"""What may be in the page of a list of any length."""


@pytest.fixture(scope="module")
def long(console: Console) -> str:
    return console.run(chat_lines(MANY), name="A long list")


def test_answers_are_found_by_their_words(page: Page, finished: str):
    page.goto(f"/batches/{finished}/answers")
    page.get_by_label("Search in the text").fill("VOLCANOES")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("status").filter(has_text="hold")).to_contain_text("5 lines hold “VOLCANOES”")
    expect(page.locator("tbody tr")).to_have_count(5)
    page.get_by_role("link", name="holds “VOLCANOES”").click()
    expect(page.locator("tbody tr")).to_have_count(40)


def test_a_selection_is_part_of_the_address_and_can_be_taken_away(page: Page, finished: str):
    page.goto(f"/batches/{finished}/answers?contains=tides&order=-output_tokens")
    expect(page.locator("tbody tr")).to_have_count(5)
    with page.expect_download() as download:
        page.get_by_role("link", name="JSONL").click()
    lines = [json.loads(line) for line in download.value.path().read_text().splitlines()]
    assert len(lines) == 5 and all("tides" in json.dumps(line) for line in lines)
    with page.expect_download() as table:
        page.get_by_role("link", name="CSV").click()
    assert len(table.value.path().read_text().splitlines()) == 6


def test_answers_are_counted_by_how_they_ended(page: Page, finished: str):
    page.goto(f"/batches/{finished}/answers")
    page.get_by_role("link", name="ended by stop 40").click()
    expect(page).to_have_url(f"/batches/{finished}/answers?finish_reason=stop")
    expect(page.locator("tbody tr")).to_have_count(40)


def test_an_answer_is_read_in_every_shape_and_the_shape_is_kept(page: Page, finished: str):
    page.goto(f"/batches/{finished}/answers")
    page.locator("a[data-row]").first.click()
    expect(page.locator("#panel .turn.answer .text")).to_be_visible()
    for shape, seen in (("Markdown", ".markdown"), ("JSON", ".tree .node"), ("Raw", "pre.code")):
        page.locator("#panel").get_by_role("link", name=shape).click()
        expect(page.locator(f"#panel {seen}").first).to_be_visible()
        expect(page.locator("#panel [data-shape][aria-current]")).to_have_text(shape)
    page.locator("a[data-row]").nth(1).click()
    expect(page.locator("#panel h2")).to_have_text("Line 2")
    expect(page.locator("#panel [data-shape][aria-current]")).to_have_text("Raw")
    page.get_by_role("link", name="Link to it").click()
    expect(page).to_have_url(f"/batches/{finished}/answers/2?as=raw")


def test_j_and_k_go_from_answer_to_answer_while_one_is_open(page: Page, finished: str):
    page.goto(f"/batches/{finished}/answers")
    page.locator("body").press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#panel h2")).to_have_text("Line 1")
    for line in (2, 3):
        page.keyboard.press("j")
        expect(page.locator("#panel h2")).to_have_text(f"Line {line}")
    page.keyboard.press("k")
    expect(page.locator("#panel h2")).to_have_text("Line 2")


def test_a_long_list_is_scrolled_to_its_end_with_few_rows_in_the_page(page: Page, long: str):
    page.goto(f"/batches/{long}/answers")
    last = page.locator("a[data-row]", has_text=f"{MANY:,}")
    for _ in range(120):
        if last.count():
            break
        page.mouse.wheel(0, 2_500)
        page.wait_for_timeout(60)  # a person's hand, no wait for a state
        assert page.locator("[data-results] a[data-row]").count() <= ROWS_MAX
    expect(last).to_be_visible()
    page.evaluate("window.scrollTo(0, 0)")
    expect(page.locator("a[data-row]").first).to_have_text("1")


def test_a_list_is_entered_at_any_line(page: Page, long: str):
    page.goto(f"/batches/{long}/answers")
    page.get_by_label("From line").fill("1200")
    page.get_by_role("button", name="Go").click()
    expect(page.locator("a[data-row]").first).to_have_text("1,200")


def test_a_batch_is_seen_as_it_was(page: Page, finished: str):
    page.goto(f"/batches/{finished}/timeline")
    state = page.locator("[data-state]")
    expect(state).to_contain_text("As it is")
    page.get_by_role("link", name="First", exact=True).click()
    expect(state).to_contain_text("As it was")
    expect(state.locator("tr", has_text="Status")).to_contain_text("validating")
    page.get_by_role("link", name="Later").click()
    expect(state.locator("tr", has_text="Requests")).to_contain_text("40")
    slider = page.get_by_label("Event, from the first to the newest")
    slider.focus()
    page.keyboard.press("End")
    expect(state.locator("tr", has_text="Status")).to_contain_text("completed")
    expect(state.locator("tr", has_text="Succeeded")).to_contain_text("40")


@pytest.fixture(scope="module")
def other(console: Console) -> str:
    """The forty questions, every third with another instruction."""
    lines = chat_lines(40).splitlines()
    changed = [
        line.replace("short paragraph", "long essay") if index % 3 == 0 else line for index, line in enumerate(lines)
    ]
    return console.run("\n".join(changed) + "\n", name="Asked for essays")


def test_batches_are_chosen_and_set_side_by_side(page: Page, finished: str, other: str):
    page.goto("/compare")
    for batch in (finished, other):
        page.locator(f'input[name=with][value="{batch}"]').check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="Together")).to_be_visible()
    expect(page.locator("tbody tr").nth(1)).to_contain_text("65 % (50 % to 78 %)")
    page.get_by_role("link", name="Where they differ").click()
    expect(page.get_by_role("link", name="Where they differ")).to_have_attribute("aria-current", "true")
    first = page.locator(".compared").first
    expect(first.locator(".different").first).to_be_visible()
    assert {"long", "essay", "short", "paragraph"} & set(first.locator(".different").all_inner_texts())
    with page.expect_download() as table:
        page.get_by_role("link", name="CSV").click()
    assert len(table.value.path().read_text().splitlines()) == 15


def test_what_was_used_is_told_and_taken_away(page: Page, finished: str):
    page.goto("/usage")
    expect(page.get_by_role("heading", name="By model")).to_be_visible()
    expect(page.locator("tbody").last).to_contain_text("simulated-chat")
    with page.expect_download() as table:
        page.get_by_role("link", name="CSV").click()
    assert table.value.path().read_text().startswith("day,owner,model,")
    page.get_by_role("link", name="All owners").click()
    expect(page.get_by_role("heading", name="By owner")).to_be_visible()


def test_another_priority_is_tried_without_being_set(page: Page, console: Console):
    first = console.submit(chat_lines(2_000, "simulated-slow"), name="Runs before")
    second = console.submit(chat_lines(2_000, "simulated-slow"), name="To be tried")
    console.wait_for(second, "in_progress")
    page.goto(f"/batches/{second}")
    page.get_by_label("What if its priority were").fill("70")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="If To be tried had priority 70")).to_be_visible()
    expect(page.locator(".tried tbody tr").first).to_contain_text("To be tried")
    expect(page.locator(".lanes .kind-running").first).to_be_attached()
    with console.stack.client() as client:
        assert client.batches.retrieve(second).priority == 0  # type: ignore[attr-defined]  # ours
    page.get_by_role("button", name="Set this priority").click()
    expect(page.get_by_role("heading", name="Queue", level=1)).to_be_visible()
    with console.stack.client() as client:
        assert client.batches.retrieve(second).priority == 70  # type: ignore[attr-defined]  # ours
    for batch_id in (first, second):
        console.cancel(batch_id)
