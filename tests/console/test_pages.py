"""Every page: in both themes, on a small and a large screen, to every reader, and without scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.console.admin_work import ask, bury, receiver
from tests.console.conftest import watched
from tests.console.work import CHAT, Console, chat_lines, is_live, with_failures

PLACES = {
    "overview": "/",
    "queue": "/queue",
    "batches": "/batches",
    "new": "/batches/new?sample=1",
    "batch": "/batches/{finished}",
    "answers": "/batches/{finished}/answers",
    "search": "/batches/{finished}/answers?contains=tides&is_json=false&order=-seconds",
    "line": "/batches/{finished}/answers/2",
    "line-markdown": "/batches/{finished}/answers/2?as=markdown",
    "line-json": "/batches/{finished}/answers/2?as=json",
    "timeline": "/batches/{finished}/timeline",
    "timeline-past": "/batches/{running}/timeline?at=1",
    "batch-events": "/batches/{finished}/events?detail=all",
    "details": "/batches/{finished}/details",
    "rejected": "/batches/{rejected}",
    "running": "/batches/{running}",
    "fanout": "/fanouts/{fanout}",
    "retried": "/batches/{retried}",
    "vote": "/compare/vote?batches={finished},{other}",
    "datasets": "/datasets",
    "models": "/models",
    "playground": "/playground?user=Why+is+the+sky+blue%3F",
    "files": "/files",
    "events": "/events",
    "admin": "/admin",
    "logs": "/admin/logs",
    "dead-letters": "/admin/dead-letters?letter={letter}",
    "keys": "/admin/keys",
    "webhooks": "/admin/webhooks?endpoint={hook}&delivery={delivery}",
    "audit": "/admin/audit",
    "config": "/config?show=set",
    "usage": "/usage?all=1",
    "compare-choose": "/compare",
    "compare": "/compare?batches={finished},{running}",
    "queue-tried": "/queue?try={running}&priority=50",
    "help": "/help",
    "missing": "/batches/batch_00000000000000000000000000000000",
}
MODELS_OF_STACK = ["simulated-chat", "simulated-slow"]
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(scope="module")
def administered(console: Console) -> dict[str, str]:
    """Something for the pages of administrators: a quota, limits, a dead letter, webhooks that took and did not."""
    ask(console, "POST", "/v1/admin/owners/research", {"unfinished_batches_max": 20, "stored_bytes_max": 10**12})
    ask(console, "POST", "/v1/admin/limits", {"creates_per_minute_max": 60_000})
    letter = bury(console, reason="poison: ended the service 3 times in a row: KeyError: 'total'", sequence=1)
    with receiver() as taken:
        made = {"name": "Team chat", "url": taken.url, "event_types": ["batch.completed"]}
        hook = ask(console, "POST", "/v1/webhook_endpoints", made)["id"]
        ask(console, "POST", f"/v1/webhook_endpoints/{hook}/test", {"event_type": "batch.completed"})
        delivery = ask(console, "GET", f"/v1/webhook_endpoints/{hook}/deliveries")["data"][0]["id"]
    ask(console, "POST", f"/v1/webhook_endpoints/{hook}/disable")
    return {"letter": str(letter), "hook": hook, "delivery": delivery}


@pytest.fixture(scope="module")
def related(console: Console, finished: str) -> dict[str, str]:
    """Batches that belong together: a retry, a run on several models, a second one over the same inputs; judged."""
    other = console.run(chat_lines(40, extra={"max_tokens": 12}), name="Forty questions, shorter")
    failing = console.run(with_failures(20), name="Some fail")
    retried = ask(console, "POST", f"/v1/batches/{failing}/retry")["id"]
    console.wait_for(retried, "completed")
    requests = [json.loads(line) for line in chat_lines(30).splitlines()]
    both = {"requests": requests, "endpoint": CHAT, "completion_window": "24h", "models": MODELS_OF_STACK}
    fanout = ask(console, "POST", "/v1/batches", both)["fanout_id"]
    said = [{"batch_id": finished, "line": 2, "verdict": "good", "score": 4, "tags": ["clear"], "note": "As asked."}]
    ask(console, "POST", "/v1/judgements", {"judgements": said})
    ask(console, "POST", "/v1/datasets", {"name": "good-answers", "batch_ids": [finished]})
    return {"other": other, "retried": retried, "fanout": fanout}


@pytest.fixture(scope="module")
def busy(
    console: Console, finished: str, rejected: str, administered: dict[str, str], related: dict[str, str]
) -> dict[str, str]:
    """A server with something of everything: ended, rejected, running and waiting batches."""
    slow = console.submit(chat_lines(3_000, "simulated-slow"), name="Spring questionnaire")
    console.submit(chat_lines(500), name="Product descriptions, German")
    console.wait_for(slow, "in_progress")
    return {"finished": finished, "rejected": rejected, "running": slow} | administered | related


@pytest.mark.parametrize("name", PLACES)
def test_a_page_serves_every_reader_on_every_screen(
    browser: Browser, console: Console, busy: dict[str, str], name: str
):
    for theme in THEMES:
        context = browser.new_context(base_url=console.url, color_scheme=theme)
        page = context.new_page()
        troubles = watched(page, console.url)
        page.goto(PLACES[name].format(**busy))
        for width in (1920, 1280, 360):
            page.set_viewport_size({"width": width, "height": 800})
            overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert overflow <= 0, f"{name} is {overflow} px too wide on a screen of {width} px"
        violations = [each for each in Axe().run(page).response["violations"]]
        found = [f"{each['id']}: {each['nodes'][0]['html'][:300]}" for each in violations]
        assert found == [], f"{name}, {theme}"
        context.close()
        assert troubles == []


@pytest.mark.parametrize("name", PLACES)
def test_a_page_can_be_read_without_scripts(browser: Browser, console: Console, busy: dict[str, str], name: str):
    context = browser.new_context(base_url=console.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(PLACES[name].format(**busy))
    assert page.locator("h1").first.inner_text().strip()
    if name in ("batch", "answers"):
        assert "question-0001" in page.locator("main").inner_text()
    context.close()


def test_every_answer_forbids_other_sites_and_inline_scripts(console: Console, page: Page):
    answer = page.request.get(f"{console.url}/queue")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store" and answer.headers["x-content-type-options"] == "nosniff"


def test_the_pages_are_light(page: Page):
    """All that one page loads, on the wire, stays within its budget."""
    sizes: list[int] = []
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    page.goto("/")
    is_live(page)
    assert sum(sizes) < 90_000


def test_a_picture_of_every_page(browser: Browser, console: Console, busy: dict[str, str], pictures: Path | None):
    """Only where a folder is named: for people to look at."""
    sizes = {"wide": 1440, "small": 360, "huge": 3840} if pictures else {}
    for theme in THEMES:
        for word, width in sizes.items():
            context = browser.new_context(base_url=console.url, color_scheme=theme)
            page = context.new_page()
            page.set_viewport_size({"width": width, "height": 2160 if word == "huge" else 900})
            for name, place in PLACES.items():
                page.goto(place.format(**busy))
                page.wait_for_load_state("load")
                page.wait_for_timeout(400)  # the first live fragments, for the eye only
                page.screenshot(path=f"{pictures}/{name}-{theme}-{word}.png", full_page=word == "small")
            context.close()
