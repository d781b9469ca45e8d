"""Where the server asks for keys, the console does, and keeps them to itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.conftest import stack_beside_a_browser, watched
from tests.console.work import Console

KEY = "sk-of-ada-lovelace-0123456789"


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"ada {hashlib.sha256(KEY.encode()).hexdigest()}\n")
    with stack_beside_a_browser(environment={"VBATCH_GATEWAY_API_KEYS_FILE": str(keys)}) as stack:
        yield Console(stack)


@pytest.fixture
def visitor(browser: Browser, keyed: Console) -> Iterator[Page]:
    context = browser.new_context(base_url=keyed.url)
    page = context.new_page()
    troubles = watched(page, keyed.url)
    yield page
    context.close()
    assert troubles == []


def log_in(page: Page, key: str = KEY) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Log in").click()


def test_a_visitor_logs_in_once_and_out_for_good(visitor: Page):
    visitor.goto("/queue")
    expect(visitor).to_have_url("/login?next=/queue")
    log_in(visitor, "sk-wrong")
    expect(visitor.get_by_role("alert")).to_have_text("This key is not known to the server.")
    log_in(visitor)
    expect(visitor.get_by_role("heading", name="Queue", level=1)).to_be_visible()
    expect(visitor.locator(".side")).to_contain_text("ada")
    visitor.get_by_role("button", name="Log out").click()
    visitor.goto("/batches")
    expect(visitor).to_have_url("/login?next=/batches")


def test_the_key_is_in_no_cookie_and_on_no_page(visitor: Page):
    visitor.goto("/login")
    log_in(visitor)
    expect(visitor.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    cookies = visitor.context.cookies()
    session = next(cookie for cookie in cookies if cookie["name"] == "vbatch_session")
    assert session["httpOnly"] and session["sameSite"] == "Strict"
    assert all(KEY not in cookie["value"] for cookie in cookies) and KEY not in visitor.content()


def test_a_login_leads_nowhere_else(visitor: Page, keyed: Console):
    visitor.goto("/login?next=//evil.example/")
    log_in(visitor)
    expect(visitor).to_have_url(f"{keyed.url}/")
