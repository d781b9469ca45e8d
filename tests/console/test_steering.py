"""What a visitor does on a page becomes so on the server, and shows without a reload."""

from __future__ import annotations

import json

from playwright.sync_api import Page, expect

from tests.console.work import Console, chat_lines, is_live


def test_a_sample_goes_from_the_form_to_its_answers(page: Page, console: Console):
    page.goto("/batches/new?sample=1")
    page.get_by_label("Name").fill("First try")
    page.get_by_role("button", name="Check it").click()
    expect(page.get_by_role("heading", name="Ready to run")).to_be_visible()
    expect(page.locator("main")).to_contain_text("simulated-chat")
    page.get_by_role("button", name="Run it").click()
    expect(page.get_by_role("heading", name="First try")).to_be_visible()
    expect(page.locator(".state").first).to_have_text("completed")
    page.get_by_role("link", name="All answers").click()
    expect(page.locator("tbody tr")).to_have_count(3)


def test_faults_show_the_lines_they_are_in_and_can_be_corrected_there(page: Page):
    page.goto("/batches/new")
    good = chat_lines(1).strip()
    page.get_by_label("Or paste lines").fill(f"{good}\n{{broken")
    page.get_by_role("button", name="Check it").click()
    expect(page.get_by_role("heading", name="The file cannot run yet")).to_be_visible()
    expect(page.locator(".faults")).to_contain_text("line 2")
    expect(page.locator(".excerpt")).to_have_text("{broken")
    page.get_by_label("Lines").fill(good)
    page.get_by_role("button", name="Check again").click()
    expect(page.get_by_role("heading", name="Ready to run")).to_be_visible()


def test_a_form_without_a_file_says_what_is_missing(page: Page):
    page.goto("/batches/new")
    page.get_by_role("button", name="Check it").click()
    expect(page.get_by_role("alert")).to_have_text("Choose a file, or paste some lines.")


def test_a_batch_is_steered_from_its_page(page: Page, console: Console):
    batch_id = console.submit(chat_lines(2_000, "simulated-slow"), name="To be steered")
    console.wait_for(batch_id, "in_progress")
    page.goto(f"/batches/{batch_id}")
    is_live(page)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#toasts")).to_contain_text("It is paused")
    expect(page.locator(".page-head .state")).to_have_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.get_by_label("Priority, from -100 to 100").fill("30")
    page.get_by_role("button", name="Set the priority").click()
    expect(page.locator("#toasts")).to_contain_text("Its priority is 30")
    page.get_by_text("Cancel…").click()
    page.get_by_role("button", name="Cancel the batch").click()
    expect(page.locator(".page-head .state")).to_have_text("cancelled")
    assert console.status(batch_id) == "cancelled"


def test_progress_comes_by_itself(page: Page, console: Console):
    batch_id = console.submit(chat_lines(60, "simulated-slow"), name="Comes by itself")
    page.goto(f"/batches/{batch_id}")
    expect(page.locator(".figures").first).to_contain_text("60 of 60")
    expect(page.get_by_role("link", name="Answers").first).to_be_visible(timeout=20_000)


def test_the_queue_says_why_and_takes_a_priority(page: Page, console: Console):
    first = console.submit(chat_lines(1_500, "simulated-slow"), name="Runs now")
    second = console.submit(chat_lines(1_500, "simulated-slow"), name="Runs next")
    console.wait_for(second, "in_progress")
    page.goto("/queue")
    row = page.locator(f"#row-{second}")
    expect(row).to_contain_text("Runs next")
    row.get_by_text("Why here?").click()
    expect(row.locator(".sentences")).to_be_visible()
    row.get_by_role("button", name="Ten more priority").click()
    row.get_by_role("button", name="Set the priority").click()
    expect(page.locator("#toasts")).to_contain_text("Its priority is 10")
    for batch_id in (first, second):
        console.cancel(batch_id)


def test_answers_are_searched_and_opened_beside_the_list(page: Page, finished: str):
    page.goto(f"/batches/{finished}/answers")
    page.keyboard.press("/")
    page.keyboard.type("question-0017")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("body").press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_contain_text("Answer in one short paragraph.")
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_empty()


def test_keys_lead_from_page_to_page(page: Page):
    page.goto("/")
    page.keyboard.press("g")
    page.keyboard.press("m")
    expect(page.get_by_role("heading", name="Models", level=1)).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_a_theme_is_kept(page: Page):
    page.goto("/files")
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto("/models")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_file_is_downloaded_and_deleted(page: Page, console: Console):
    with console.stack.client() as client:
        client.files.create(file=("gone-soon.jsonl", chat_lines(1).encode()), purpose="batch")
    page.goto("/files")
    with page.expect_download() as download:
        page.get_by_role("link", name="gone-soon.jsonl").click()
    line = json.loads(download.value.path().read_text())
    assert line["custom_id"] == "question-0001"
    row = page.locator("tr", has_text="gone-soon.jsonl")
    row.get_by_text("Delete…").click()
    row.get_by_role("button", name="Delete the file").click()
    expect(page.get_by_text("gone-soon.jsonl")).to_have_count(0)
