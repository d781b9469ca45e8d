"""What administrators do in the browser becomes so on the server, is told, can be undone, and stands in the audit."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.console.admin_work import Receiver, ask, bury, receiver
from tests.console.conftest import MODELS, stack_beside_a_browser, watched
from tests.console.work import Console, chat_lines, is_live
from tests.support.stack import wait_until

RESTART_SECONDS_MAX = 60.0
HOSTILE = "<img src=x onerror='window.pwned = 1'>"


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A stack of its own, with an admin key."""
    models = tmp_path_factory.mktemp("models") / "models.toml"
    models.write_text(MODELS)
    with stack_beside_a_browser(models, {"VBATCH_WEBHOOKS_ALLOW_PRIVATE": "true"}) as stack:
        yield Console(stack)


@pytest.fixture(scope="module")
def admin_key(browser: Browser, keyed: Console) -> str:
    """The first key, made in the console. It stays in sight although the server asks for a key from then on."""
    context = browser.new_context(base_url=keyed.url)
    page = context.new_page()
    page.goto("/admin/keys")
    is_live(page)
    page.get_by_label("Owner", exact=True).fill("root")
    page.get_by_label("Name", exact=True).fill("first")
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator(".stale-bar")).to_contain_text("Copy it, then log in")
    key: str = page.locator("#secret-text").inner_text()
    context.close()
    return key


@pytest.fixture(scope="module")
def hook() -> Iterator[Receiver]:
    with receiver() as taken:
        yield taken


@pytest.fixture
def visitor(browser: Browser, keyed: Console, admin_key: str) -> Iterator[Page]:
    """An administrator who is logged in."""
    context = browser.new_context(base_url=keyed.url, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    troubles = watched(page, keyed.url)
    log_in(page, admin_key)
    yield page
    context.close()
    assert troubles == []


def log_in(page: Page, key: str) -> None:
    page.goto("/login?next=/help")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Help", level=1)).to_be_visible()


def audit_says(page: Page, action: str) -> None:
    page.goto(f"/admin/audit?action={action}")
    expect(page.locator("tbody tr").first).to_contain_text(action)


def test_a_key_is_made_shown_once_used_rotated_and_revoked(visitor: Page, keyed: Console):
    visitor.goto("/admin/keys")
    is_live(visitor)
    visitor.get_by_role("heading", name="New key").click()
    visitor.get_by_label("Owner", exact=True).fill("lovelace")
    visitor.get_by_label("Name", exact=True).fill(HOSTILE)
    visitor.get_by_label("Ends", exact=True).select_option("7")
    visitor.get_by_role("button", name="Make the key").click()
    key = visitor.locator("#secret-text").inner_text()
    assert ask(keyed, "GET", "/v1/me", key=key)["owner"] == "lovelace"
    row = visitor.locator("#part-api_keys tr", has_text="lovelace")
    expect(row).to_contain_text(HOSTILE)
    visitor.goto("/admin/keys")
    assert key not in visitor.content()
    row.get_by_text("Rotate…").click()
    row.get_by_role("button", name="Make the new key").click()
    expect(visitor.locator("#secret-text")).to_contain_text("sk-vb-")
    expect(row).to_have_count(2)
    row.first.get_by_text("Revoke…").click()
    row.first.get_by_label("Why").fill("lost")
    row.first.get_by_role("button", name="Revoke the key").click()
    expect(visitor.locator("#toasts")).to_contain_text("opens nothing any more")
    expect(row).to_have_count(1)
    visitor.get_by_role("link", name="All", exact=True).click()
    expect(visitor.locator("#part-api_keys")).to_contain_text("revoked")
    assert visitor.evaluate("window.pwned") is None
    audit_says(visitor, "key.revoked")


def test_rate_limits_are_switched_live_and_taken_back_by_one_click(visitor: Page, keyed: Console, admin_key: str):
    visitor.goto("/admin/keys")
    visitor.get_by_label("Reads").fill("90,000")
    visitor.get_by_role("button", name="Set the rate limits").click()
    expect(visitor.locator("#toasts")).to_contain_text("reads 90000")
    assert ask(keyed, "GET", "/v1/admin/limits", key=admin_key)["reads_per_minute_max"] == 90_000
    visitor.locator("#toasts").get_by_role("button", name="Undo").click()
    expect(visitor.locator("#toasts")).to_contain_text("reads unlimited")
    assert ask(keyed, "GET", "/v1/admin/limits", key=admin_key)["reads_per_minute_max"] == 0
    visitor.get_by_label("Reads").fill("many")
    visitor.get_by_role("button", name="Set the rate limits").click()
    expect(visitor.locator("#toasts")).to_contain_text("is no whole number")


def test_a_quota_is_set_shown_in_the_configuration_and_undone_there(visitor: Page, keyed: Console, admin_key: str):
    ask(keyed, "POST", "/v1/admin/owners/bob", {"unfinished_batches_max": 3}, key=admin_key)
    visitor.goto("/admin/keys")
    row = visitor.locator("#part-owners tr", has_text="bob")
    row.get_by_text("Change…").click()
    row.get_by_label("Unfinished batches").fill("5")
    row.get_by_role("button", name="Set the quota").click()
    expect(visitor.locator("#toasts")).to_contain_text("The quota of bob")
    visitor.goto("/config")
    change = visitor.locator("#part-changes tbody tr").first
    expect(change).to_contain_text(re.compile(r"unfinished batches: 3.*5", re.DOTALL))
    change.get_by_text("Undo…").click()
    change.get_by_role("button", name="Undo it").click()
    expect(visitor.locator("#toasts")).to_contain_text("as it was before")
    assert ask(keyed, "GET", "/v1/admin/owners/bob", key=admin_key)["quota"]["unfinished_batches_max"] == 3


def test_a_webhook_is_made_tested_disabled_and_its_delivery_sent_again(visitor: Page, hook: Receiver):
    visitor.goto("/admin/webhooks")
    visitor.get_by_label("Name").first.fill(HOSTILE)
    visitor.get_by_label("URL").first.fill(hook.url)
    visitor.get_by_role("button", name="Make the endpoint").click()
    expect(visitor.locator("#secret-text")).to_contain_text("whsec_")
    row = visitor.locator("#part-webhooks tbody tr", has_text=HOSTILE).first
    hook.status = 500
    row.get_by_text("Test…").click()
    row.get_by_role("button", name="Send it").click()
    expect(visitor.locator("#toasts")).to_contain_text("It answered 500: the event is not taken")
    deliveries = visitor.locator("section", has=visitor.locator("#deliveries-title"))
    deliveries.locator("tbody a").first.click()
    expect(deliveries.locator(".attempts li")).to_have_count(1)
    hook.status = 204
    deliveries.get_by_role("button", name="Resend").click()
    expect(deliveries.locator(".state.good").first).to_contain_text("delivered")
    assert len(hook.bodies) == 2 and hook.bodies[0] == hook.bodies[1]
    row.get_by_text("Change…").click()
    row.get_by_role("button", name="Disable").click()
    expect(row).to_contain_text("its owner disabled it")
    row.get_by_role("button", name="Enable").click()
    expect(row).to_contain_text("enabled")
    assert visitor.evaluate("window.pwned") is None
    audit_says(visitor, "webhook.enabled")


def test_all_work_is_paused_told_on_the_queue_and_resumed(visitor: Page, keyed: Console, admin_key: str):
    visitor.goto("/admin")
    is_live(visitor)
    visitor.get_by_text("Pause all work…").click()
    visitor.get_by_label("Why").fill("a new disk")
    visitor.get_by_role("button", name="Pause all work").click()
    expect(visitor.locator("#part-admin")).to_contain_text("a new disk")
    with keyed.stack.client(admin_key) as client:
        stored = client.files.create(file=("in.jsonl", chat_lines(5).encode()), purpose="batch")
        batch = client.batches.create(input_file_id=stored.id, endpoint="/v1/chat/completions", completion_window="24h")
        visitor.goto("/queue")
        expect(visitor.locator("main")).to_contain_text("All work is paused")
        expect(visitor.locator(f"#row-{batch.id}")).to_contain_text("all work to be resumed")
        assert client.batches.retrieve(batch.id).request_counts.completed == 0  # type: ignore[union-attr]  # it is there
        visitor.goto("/admin")
        visitor.get_by_role("button", name="Resume all work").click()
        visitor.goto(f"/batches/{batch.id}")
        expect(visitor.locator(".state").first).to_have_text("completed")
    audit_says(visitor, "queue.resumed")


def test_a_runner_is_drained_frees_its_device_restarts_and_works_again(visitor: Page, keyed: Console):
    visitor.goto("/admin")
    is_live(visitor)
    runners = visitor.locator("section", has=visitor.get_by_role("heading", name="Runners"))
    steered(runners, "Drain…", "Drain", why="a game")
    expect(runners.locator(".state")).to_have_text("drained")
    expect(runners).to_contain_text("a game")
    steered(runners, "Free memory…", "Unload all models")
    expect(runners.locator(".state")).to_have_text("drained, device free")
    expect(runners).to_contain_text("No model is loaded")
    visitor.goto("/queue")
    expect(visitor.locator("main")).to_contain_text("drained, device free")
    visitor.goto("/admin")
    runners.get_by_role("button", name="Resume").click()
    expect(runners.locator(".state")).to_have_text("idle")
    before = keyed.stack.process("gpu-runner").pid
    steered(runners, "Restart…", "Restart")
    wait_until(lambda: keyed.stack.process("gpu-runner").pid != before, "its next process runs", RESTART_SECONDS_MAX)
    expect(runners.locator(".state")).to_have_text("idle")
    audit_says(visitor, "runner.drain_requested")


def steered(runners: Locator, menu: str, button: str, why: str = "") -> None:
    runners.get_by_text(menu).click()
    runners.get_by_label("Reason").locator("visible=true").fill(why)
    runners.get_by_role("button", name=button, exact=True).locator("visible=true").click()


def test_a_dead_letter_is_shown_sent_again_and_another_dropped(visitor: Page, keyed: Console):
    bury(keyed, reason=f"poison: {HOSTILE}", sequence=1)
    second = bury(keyed, reason="poison: again", sequence=2)
    visitor.goto("/admin/dead-letters")
    rows = visitor.locator("#part-dead_letters tbody tr")
    expect(rows).to_have_count(2)
    rows.first.get_by_role("link").click()
    expect(visitor.locator("td[colspan] pre").first).to_contain_text("ce-type: vbatch.batch.resumed.v1")
    visitor.goto("/admin/dead-letters")
    rows.first.get_by_text("Retry…").click()
    rows.first.get_by_role("button", name="Send it again").click()
    expect(visitor.locator("#toasts")).to_contain_text("is sent again")
    expect(rows).to_have_count(1)
    rows.first.get_by_text("Drop…").click()
    rows.first.get_by_role("button", name="Drop it").click()
    expect(visitor.locator("#part-dead_letters")).to_contain_text("There are none")
    assert visitor.evaluate("window.pwned") is None
    audit_says(visitor, "dead_letter.dropped")
    expect(visitor.locator("tbody tr").first).to_contain_text(str(second))


def test_the_log_is_filtered_and_can_be_held_still(visitor: Page):
    visitor.goto("/admin/logs?service=scheduler")
    expect(visitor.locator("tbody tr").first).to_contain_text("scheduler")
    visitor.get_by_role("searchbox").fill("caught_up")
    visitor.get_by_role("button", name="Filter").click()
    expect(visitor.locator("tbody tr")).to_have_count(1)
    visitor.get_by_role("link", name="Hold still").click()
    expect(visitor.get_by_role("link", name="Follow")).to_be_visible()
    visitor.goto("/admin/logs?text=no-line-has-this")
    expect(visitor.locator("main")).to_contain_text("No line fits this filter")


def test_a_support_bundle_is_downloaded(visitor: Page, admin_key: str):
    visitor.goto("/admin")
    with visitor.expect_download() as download:
        visitor.get_by_role("link", name="Support bundle").click()
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as archive:
        assert "settings.json" in archive.namelist()
        assert all(admin_key.encode() not in archive.read(name) for name in archive.namelist())


def test_every_setting_is_shown_with_its_source(visitor: Page):
    visitor.goto("/config?service=gateway")
    port = visitor.locator("#settings-of-gateway tr", has_text="VBATCH_GATEWAY_PORT")
    expect(port).to_contain_text("environment")
    expect(visitor.locator("#settings-of-gateway tr", has_text="reads_per_minute_max")).to_contain_text("at once")
    expect(visitor.locator("#settings-of-gateway tr", has_text="postgres_url")).not_to_contain_text("postgresql://")


def test_the_same_is_told_as_a_command_and_as_curl_without_a_key(visitor: Page, admin_key: str):
    visitor.goto("/admin")
    visitor.get_by_text("The same in code").first.click()
    expect(visitor.locator(".same pre").first).to_contain_text("vbatch pause --all")
    assert admin_key not in visitor.content()


def test_who_is_no_administrator_sees_no_such_page(browser: Browser, keyed: Console, admin_key: str):
    body = {"owner": "eve", "name": "laptop", "scopes": ["user"]}
    key = ask(keyed, "POST", "/v1/admin/keys", body, key=admin_key)["key"]
    context = browser.new_context(base_url=keyed.url)
    page = context.new_page()
    log_in(page, key)
    expect(page.locator("nav[aria-label=Pages]")).not_to_contain_text("Keys and owners")
    for place in ("/admin", "/admin/keys", "/admin/audit", "/admin/logs", "/config", "/admin/dead-letters"):
        answer = page.goto(place)
        assert answer is not None and answer.status == 403, place
    webhooks = page.goto("/admin/webhooks")
    assert webhooks is not None and webhooks.status == 200
    context.close()


def test_forms_work_without_scripts(browser: Browser, keyed: Console, admin_key: str):
    context = browser.new_context(base_url=keyed.url, java_script_enabled=False)
    page = context.new_page()
    log_in(page, admin_key)
    page.goto("/admin/keys")
    page.get_by_role("heading", name="New key").click()
    page.get_by_label("Owner", exact=True).fill("carl")
    page.get_by_label("Name", exact=True).fill("without scripts")
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("#secret-text")).to_contain_text("sk-vb-")
    page.get_by_role("link", name="I have copied it").click()
    expect(page.locator("#part-api_keys")).to_contain_text("without scripts")
    context.close()
