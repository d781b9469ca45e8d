"""The playground: token by token, stopped, refused, as code, as a batch, and without scripts."""

from __future__ import annotations

from playwright.sync_api import Browser, Page, expect

from tests.console.work import Console


def asked(page: Page, words: str, *, model: str = "simulated-chat", tokens: int = 24) -> None:
    page.goto("/playground")
    page.get_by_label("Model").select_option(model)
    page.get_by_label("User").fill(words)
    page.get_by_label("Maximum tokens").fill(str(tokens))
    page.get_by_role("button", name="Ask", exact=True).click()


def test_an_answer_comes_with_its_figures(page: Page, console: Console):
    asked(page, "Why is the sky blue?")
    expect(page.locator("#figures")).to_have_text("Done")
    expect(page.locator("#answer-text")).not_to_be_empty()
    expect(page.locator("[data-figure=first]")).to_contain_text(" s")
    expect(page.locator("[data-figure=tokens]")).to_contain_text(", ")
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_enabled()


def test_what_a_model_says_is_text(page: Page, console: Console):
    asked(page, "<img src=x onerror=alert(1)> \u202e turned \x07", tokens=200)
    expect(page.locator("#figures")).to_have_text("Done")
    assert page.locator("#answer-text img").count() == 0
    assert page.locator("#answer-text").evaluate("part => /[\\u202e\\x07]/.test(part.textContent)") is False


def test_a_question_is_stopped_while_it_waits(page: Page, console: Console):
    page.route("**/playground/stream", lambda route: None)
    asked(page, "Tell a long story.")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#figures")).to_have_text("Stopped")
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_enabled()


def test_a_form_that_cannot_be_asked_says_why(page: Page, console: Console):
    page.goto("/playground?user=Hello&schema=%7B")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#answer-trouble")).to_contain_text("not JSON")


def test_the_same_is_shown_as_code(page: Page, console: Console):
    page.goto("/playground?user=Why+is+the+sky+blue%3F")
    page.get_by_role("button", name="Show it").click()
    expect(page.locator("#prompt-code")).to_contain_text("client.chat.completions.create")
    expect(page.locator("#prompt-code")).to_contain_text("vbatch submit")


def test_a_prompt_becomes_the_first_line_of_a_batch(page: Page, console: Console):
    page.goto("/playground?user=Why+is+the+sky+blue%3F")
    page.get_by_role("button", name="Make a batch of this").click()
    expect(page.get_by_label("Or paste lines")).to_contain_text("Why is the sky blue?")
    page.get_by_role("button", name="Check it").click()
    expect(page.get_by_role("heading", name="Ready to run")).to_be_visible()


def test_an_answer_comes_without_scripts(browser: Browser, console: Console):
    context = browser.new_context(base_url=console.url, java_script_enabled=False)
    page = context.new_page()
    asked(page, "Why is the sky blue?")
    expect(page.locator("#answer-text")).not_to_be_empty()
    expect(page.locator("#figures")).to_contain_text("the first after")
    context.close()
