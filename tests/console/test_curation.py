"""Answers are judged by keyboard where they are read, compared blind, retried, run on several models, made into data
sets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.admin_work import ask
from tests.console.work import Console, chat_lines, with_failures


@pytest.fixture(scope="module")
def shorter(console: Console) -> str:
    """Over the same forty questions as `finished`."""
    return console.run(chat_lines(40, extra={"max_tokens": 12}), name="Forty questions, shorter")


def judgements(console: Console, batch_id: str, line: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = ask(console, "GET", f"/v1/judgements?batch_id={batch_id}&line={line}")["data"]
    return found


def other_than(before: str) -> Callable[[str], bool]:
    return lambda url: url != before


def test_an_answer_is_judged_by_keyboard(page: Page, console: Console, finished: str):
    page.goto(f"/batches/{finished}/answers")
    page.get_by_role("link", name="3", exact=True).click()
    judging = page.locator("#panel [data-judging]")
    expect(judging).to_contain_text("It has not been judged yet")
    page.keyboard.press("+")
    expect(judging.get_by_role("button", name="Good")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("4")
    expect(judging.get_by_role("button", name="Score 4")).to_have_attribute("aria-pressed", "true")
    expect(judging.locator(".said li")).to_have_count(2)
    expect(judging.locator(".said")).to_contain_text("local")
    said = judgements(console, finished, 3)
    assert [(each["verdict"], each["score"], each["source"]) for each in said] == [
        ("good", None, "console"),
        (None, 4.0, "console"),
    ]


def test_a_judgement_is_taken_back_by_keyboard(page: Page, console: Console, finished: str):
    page.goto(f"/batches/{finished}/answers/4")
    page.keyboard.press("-")
    expect(page.locator(".said li")).to_have_count(1)
    page.keyboard.press("u")
    expect(page.locator("[data-judging]")).to_contain_text("It has not been judged yet")
    assert judgements(console, finished, 4) == []


def test_a_better_answer_stands_beside_the_answer_as_text(page: Page, console: Console, finished: str):
    page.goto(f"/batches/{finished}/answers/5")
    before = page.locator(".turn.answer .text").first.inner_text()
    page.keyboard.press("e")
    expect(page.get_by_label("Better answer")).to_be_focused()
    page.get_by_label("Better answer").fill("<img src=x onerror=alert(1)> better")
    page.get_by_label("Tags").fill("too long, wrong tone")
    page.get_by_role("button", name="Say it").click()
    expect(page.locator(".said .chip")).to_have_text(["too long", "wrong tone"])
    page.get_by_text("A better answer", exact=True).click()
    expect(page.locator(".said .text")).to_have_text("<img src=x onerror=alert(1)> better")
    assert page.locator(".said img").count() == 0
    assert page.locator(".turn.answer .text").first.inner_text() == before


def test_a_form_that_says_nothing_says_so(page: Page, console: Console, finished: str):
    page.goto(f"/batches/{finished}/answers/6")
    page.keyboard.press("e")
    page.get_by_role("button", name="Say it").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing is said")


def test_answers_are_judged_without_scripts(browser: Browser, console: Console, finished: str):
    context = browser.new_context(base_url=console.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/batches/{finished}/answers/7")
    page.get_by_role("button", name="Good").click()
    expect(page.get_by_role("button", name="Good")).to_have_attribute("aria-pressed", "true")
    context.close()


def test_two_batches_are_compared_blind_by_keyboard(page: Page, console: Console, finished: str, shorter: str):
    page.goto(f"/compare?batches={finished},{shorter}")
    expect(page.locator("main")).to_contain_text("There are no votes yet")
    page.get_by_role("link", name="Vote blind").click()
    for key in ("1", "2", "0"):
        before = page.url
        assert "Forty questions" not in page.locator("form .compared").inner_text()
        page.keyboard.press(key)
        page.wait_for_url(other_than(before))
    expect(page.locator("main")).to_contain_text("3 votes so far")
    page.keyboard.press("u")
    expect(page.locator("main")).to_contain_text("2 votes so far")
    page.keyboard.press("s")
    expect(page.locator("main")).to_contain_text("2 votes so far")
    page.goto(f"/compare?batches={finished},{shorter}")
    expect(page.locator("main")).to_contain_text("of 30 decided votes")


def test_what_failed_runs_again_and_stays_linked(page: Page, console: Console):
    failing = console.run(with_failures(12), name="Every fourth fails")
    page.goto(f"/batches/{failing}")
    page.get_by_role("button", name="Retry 3 without an answer").click()
    page.wait_for_url(lambda url: failing not in url)
    retried = page.url.rsplit("/", 1)[1]
    console.wait_for(retried, "completed")
    page.reload()
    expect(page.locator("main")).to_contain_text("A retry of")
    page.goto(f"/batches/{failing}")
    expect(page.get_by_role("heading", name="With its retries")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Newest answers of all").click()
    assert len(Path(download.value.path()).read_text().splitlines()) == 12
    page.get_by_role("button", name="Retry 3 without an answer").click()
    page.wait_for_url(f"**/batches/{retried}")  # asked twice, it is one batch


def test_one_file_runs_on_several_models(page: Page, console: Console):
    page.goto("/batches/new")
    page.get_by_label("Or paste lines").fill(chat_lines(6))
    page.get_by_role("button", name="Check it").click()
    page.get_by_text("Run it on several models").click()
    for model in ("simulated-chat", "simulated-slow"):
        page.get_by_label(model).check()
    page.get_by_role("button", name="Run it").click()
    page.wait_for_url("**/fanouts/*")
    expect(page.get_by_role("heading", level=1)).to_have_text("One file on 2 models")
    expect(page.locator("main")).to_contain_text(re.compile("12 of 12"))
    with page.expect_download() as download:
        page.get_by_role("link", name="Answers side by side").click()
    lines = [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]
    assert len(lines) == 6 and set(lines[0]["answers"]) == {"simulated-chat", "simulated-slow"}


def test_a_batch_shows_how_its_answers_look_and_when_it_would_pause(page: Page, console: Console):
    page.goto("/batches/new")
    page.get_by_label("Or paste lines").fill(chat_lines(6, extra={"max_tokens": 2}))
    page.get_by_role("button", name="Check it").click()
    page.get_by_text("Pause it when answers are bad").click()
    page.get_by_label("Empty").fill("40")
    page.get_by_role("button", name="Run it").click()
    quality = page.get_by_role("region", name="How the answers look")
    expect(quality).to_contain_text("40 %")
    expect(quality).to_contain_text("Cut by the token limit")


def test_the_manifest_is_read_and_taken_away(page: Page, console: Console, finished: str):
    page.goto(f"/batches/{finished}/details")
    expect(page.get_by_role("region", name="Manifest")).to_contain_text("simulated-chat")
    with page.expect_download() as download:
        page.get_by_role("region", name="Manifest").get_by_role("link", name="JSON").click()
    assert json.loads(Path(download.value.path()).read_text())["batch_id"] == finished


def test_judged_answers_become_a_data_set(page: Page, console: Console, finished: str):
    said = [{"batch_id": finished, "line": line, "verdict": "good"} for line in (10, 11, 12)]
    ask(console, "POST", "/v1/judgements", {"judgements": said})
    page.goto("/datasets")
    page.get_by_label("Name").fill("good-ones")
    page.locator(f"input[value={finished}]").check()
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("region", name="Versions")).to_contain_text("good-ones")
    page.get_by_label("Format of good-ones, version 1").select_option("trl-sft")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").first.click()
    assert download.value.suggested_filename.startswith("good-ones")


def test_a_data_set_with_a_wrong_name_says_so_in_words(page: Page, console: Console, finished: str):
    page.goto("/datasets")
    page.get_by_label("Name").evaluate("field => field.removeAttribute('pattern')")
    page.get_by_label("Name").fill("Not A Name")
    page.locator(f"input[value={finished}]").check()
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("alert")).to_contain_text("small letters")
