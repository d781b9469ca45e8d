"""The console in a real browser, on the real stack with simulated models. Every page a test opens is watched: an error
in its console, or a request to another host, fails the test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect, sync_playwright

from tests.console.work import Console, chat_lines
from tests.support.stack import RunningStack, running_stack

TEST_SECONDS_MAX = 240.0
READY_SECONDS_MAX = 90.0
"""A browser and a whole stack share what may be two processors."""
WAIT_MILLISECONDS_MAX = 30_000
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
MODELS = """\
[[model]]
id = "simulated-chat"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
max_num_seqs = 64

[[model]]
id = "simulated-slow"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
max_num_seqs = 4
arguments = { latency-seconds = 0.4 }
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", help="make a picture of every page in this folder")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A whole stack, a browser and whatever else runs share the processors."""
    for item in items:
        if "tests/console" in str(item.path):
            item.add_marker(pytest.mark.timeout(TEST_SECONDS_MAX))


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    models = tmp_path_factory.mktemp("models") / "models.toml"
    models.write_text(MODELS)
    with stack_beside_a_browser(models, {"VBATCH_WEBHOOKS_ALLOW_PRIVATE": "true"}) as stack:
        yield stack


@contextmanager
def stack_beside_a_browser(
    models: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[RunningStack]:
    """A stack started from a thread of its own: the browser's loop runs in this one."""
    patience = {"VBATCH_LOCAL_READY_SECONDS_MAX": str(READY_SECONDS_MAX)}
    manager = running_stack(models, patience | dict(environment or {}))
    with ThreadPoolExecutor(max_workers=1) as thread:
        stack = thread.submit(manager.__enter__).result()
        try:
            yield stack
        finally:
            thread.submit(manager.__exit__, None, None, None).result()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None, "Chromium is needed: apt-get install --no-install-recommends chromium fonts-liberation"
    with sync_playwright() as playwright:
        expect.set_options(timeout=WAIT_MILLISECONDS_MAX)
        launched = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def console(running: RunningStack) -> Console:
    return Console(running)


@pytest.fixture(scope="session")
def finished(console: Console) -> str:
    """A batch of forty answers."""
    return console.run(chat_lines(40), name="Forty questions")


@pytest.fixture(scope="session")
def rejected(console: Console) -> str:
    good = chat_lines(2).splitlines()
    return console.run(f"{good[0]}\n{good[0]}\n{{broken\n", name="Draft with mistakes")


@pytest.fixture
def page(browser: Browser, console: Console) -> Iterator[Page]:
    """A page of a fresh visitor."""
    context = browser.new_context(base_url=console.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WAIT_MILLISECONDS_MAX)
    opened = context.new_page()
    troubles = watched(opened, console.url)
    yield opened
    context.close()
    assert troubles == []


def watched(page: Page, url: str) -> list[str]:
    """What goes wrong in the page from now on."""
    troubles: list[str] = []
    own = urlsplit(url).netloc

    def see(request_url: str) -> None:
        parts = urlsplit(request_url)
        if parts.scheme not in ("data", "blob") and parts.netloc != own:
            troubles.append(f"a request left for {request_url}")

    def refuse(dialog: Dialog) -> None:
        troubles.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    page.on("request", lambda request: see(request.url))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", refuse)
    page.on("console", lambda message: troubles.extend(trouble_in(message.type, message.text)))
    return troubles


def trouble_in(kind: str, text: str) -> list[str]:
    """A page that is asked for with an error status is none, nor a stream that breaks because a test broke it."""
    expected = ("the server responded with a status of", "net::ERR_")
    return [text] if kind in ("error", "warning") and not any(words in text for words in expected) else []


@pytest.fixture
def pictures(request: pytest.FixtureRequest) -> Path | None:
    folder = request.config.getoption("--pictures")
    return Path(folder) if folder else None
