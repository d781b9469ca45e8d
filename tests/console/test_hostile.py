"""Text of others runs nothing, hides nothing and breaks nothing."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import Page, expect

from tests.console.work import CHAT, Console

HOSTILE = {
    "script": "<script>window.pwned = 1</script>",
    "image": "<img src=x onerror='window.pwned = 1'>",
    "svg": "<svg onload='window.pwned = 1'><animate onbegin='window.pwned = 1' attributeName=x></svg>",
    "link": "<a href='javascript:window.pwned=1'>click</a> [click](javascript:window.pwned=1)",
    "htmx": "<div hx-get='/logout' hx-trigger='load' data-hx-on:click='window.pwned=1'>x</div>",
    "template": "{{ 7 * 7 }} {% raw %} ${7*7}",
    "ansi": "\x1b[2J\x1b[31mred\x07",
    "bidi": "\u202egnp.exe \u2066hidden\u2069",
    "markdown": "[x](javascript:window.pwned=1) ![y](x:y)\n```\n</code></pre><script>window.pwned=1</script>",
    "json": '{"<img src=x onerror=window.pwned=1>": ["<script>window.pwned=1</script>", 1e999]}',
    "close": "</textarea></pre></title></style>--><script>window.pwned = 1</script>",
}
HUGE_BYTES = 15 << 20


@pytest.fixture(scope="module")
def hostile(console: Console) -> str:
    """Hostile prompts, which the simulated engine echoes, under hostile names."""
    return console.run(hostile_lines(), name=HOSTILE["image"], filename="<b>bold</b>.jsonl")


@pytest.fixture(scope="module")
def hostile_again(console: Console) -> str:
    """The same, with other words before them, so that every answer differs."""
    return console.run(hostile_lines("said "), name=HOSTILE["script"])


def hostile_lines(before: str = "") -> str:
    return "".join(
        json.dumps(
            {
                "custom_id": f"{name} {text}"[:60],
                "method": "POST",
                "url": CHAT,
                "body": {"model": "simulated-chat", "messages": [{"role": "user", "content": before + text}]},
            }
        )
        + "\n"
        for name, text in HOSTILE.items()
    )


def test_hostile_text_runs_nothing_on_any_page(page: Page, hostile: str, hostile_again: str):
    places = ["/", "/queue", "/batches", "/files", "/events", f"/batches/{hostile}"]
    places += [f"/batches/{hostile}/{tail}" for tail in ("answers", "events?detail=all", "details")]
    places += [f"/batches/{hostile}/timeline", f"/batches/{hostile}/answers?contains=<script>&finish_reason=<b>"]
    places += ["/usage", f"/compare?batches={hostile},{hostile_again}", "/compare?with=<script>&batches=<b>"]
    places += [
        f"/batches/{hostile}/answers/{line}?as={shape}"
        for line in range(1, len(HOSTILE) + 1)
        for shape in ("text", "markdown", "json", "raw")
    ]
    for place in places:
        page.goto(place)
        page.wait_for_load_state("load")
        assert page.evaluate("window.pwned") is None, place
        assert page.locator("main script, main img, main a[href^='javascript:'], main [onload]").count() == 0, place


def test_hostile_text_is_shown_as_it_is(page: Page, hostile: str):
    page.goto(f"/batches/{hostile}/answers/1")
    expect(page.locator(".turn").first).to_contain_text(HOSTILE["script"])
    page.goto(f"/batches/{hostile}/answers/{list(HOSTILE).index('ansi') + 1}")
    expect(page.locator(".turn").first).to_contain_text("␛[31mred␇")
    page.goto(f"/batches/{hostile}/answers/{list(HOSTILE).index('bidi') + 1}")
    expect(page.locator(".turn").first).to_contain_text("⟨U+202E⟩gnp.exe")


def test_the_panel_beside_the_list_is_as_safe(page: Page, hostile: str):
    page.goto(f"/batches/{hostile}/answers")
    for row in range(len(HOSTILE)):
        page.locator("a[data-row]").nth(row).click()
        expect(page.locator("#panel h2")).to_have_text(f"Line {row + 1}")
    assert page.evaluate("window.pwned") is None


def test_a_line_of_fifteen_megabytes_is_shown_by_its_beginning(page: Page, console: Console):
    body = {"model": "simulated-chat", "messages": [{"role": "user", "content": "x" * HUGE_BYTES}]}
    line = json.dumps({"custom_id": "huge", "method": "POST", "url": CHAT, "body": body})
    batch_id = console.run(line + "\n", name="One huge line")
    for tail in ("", "/answers", "/answers/1", "/answers/1?as=markdown", "/answers/1?as=json", "/answers?contains=xxx"):
        page.goto(f"/batches/{batch_id}{tail}")
        expect(page.locator("main")).to_contain_text("huge")
        assert len(page.content()) < 1_000_000


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "evil.example"}, 421),
        ({}, 403),  # no token
    ],
)
def test_a_forged_form_is_refused(console: Console, hostile: str, headers: dict[str, str], status: int):
    url = f"{console.url}/batches/{hostile}/steer/cancel"
    request = urllib.request.Request(url, data=b"csrf=guess", headers=headers, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    with refused.value:
        assert refused.value.code == status
