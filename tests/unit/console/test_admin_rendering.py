"""Pages of administrators, made from answers of the API: hostile text is text, and nothing is shown twice."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from vbatch.console.adapters.http.rendering import environment
from vbatch.console.core import admin_objects as admin
from vbatch.console.flows.admin_pages import AuditView, ConfigView, DeadLettersView, KeysView, LogsView, WebhooksView

HOSTILE = "<script>pwned</script>\u202e"
NOW = 1_900_000_000
LIMITS = admin.Limits(60, 0, 0, 0, ("bytes_per_minute_max",))
KEY = admin.Key("key_1", HOSTILE, HOSTILE, ("user",), HOSTILE, NOW, None, None, None, None)
OWNER = admin.Owner(HOSTILE, 1, admin.Quota(None, 5, None, None, 0), None)
HOOK = admin.Webhook(
    "we_1", HOSTILE, HOSTILE, (HOSTILE,), "whsec_...x", NOW, NOW, is_enabled=False, disabled_reason=HOSTILE
)
DELIVERY = admin.Delivery("evt_1", HOSTILE, "failed", NOW, 1, None, NOW, None, HOSTILE, 3, HOSTILE, HOSTILE)
ATTEMPT = admin.Attempt(
    1, NOW, succeeded=False, status_code=None, error=HOSTILE, milliseconds=3, answer=HOSTILE, next_attempt_at=None
)
LETTER = admin.DeadLetterDetail(1, HOSTILE, "log", 3, NOW, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, HOSTILE, 9)
LINE = admin.LogLine("2030-01-01T00:00:00.123456Z", HOSTILE, HOSTILE, HOSTILE, {HOSTILE: HOSTILE})
SETTING = admin.Setting("name", "VARIABLE", HOSTILE, HOSTILE, "file", HOSTILE, HOSTILE, is_secret=False, effect="live")
CHANGE = admin.Change(1, NOW, HOSTILE, "owner.quota_changed", HOSTILE, (admin.FieldChange("priority_max", None, 0),))
ENTRY = admin.AuditEntry(1, NOW, HOSTILE, HOSTILE, "batch.created", HOSTILE)

VIEWS = {
    "api_keys": KeysView((KEY,), (OWNER,), LIMITS, {}, NOW),
    "owners": KeysView((KEY,), (OWNER,), LIMITS, {}, NOW),
    "webhooks": WebhooksView((HOOK,), (HOSTILE,), HOOK, (DELIVERY,), DELIVERY, (ATTEMPT,), {}, NOW),
    "audit": AuditView(admin.AuditPage((ENTRY,), 1, has_more=True), {"actor": HOSTILE}, NOW),
    "admin_logs": LogsView((LINE,), has_more=True, query={}, as_of=NOW),
    "dead_letters": DeadLettersView(admin.DeadLetterPage((LETTER,), 1, has_more=True), LETTER, {}, NOW),
    "settings": ConfigView((admin.ServiceSettings(HOSTILE, (SETTING,), None),), LIMITS, (CHANGE,), {}, NOW),
    "changes": ConfigView((), LIMITS, (CHANGE,), {}, NOW),
}


def rendered(part: str, view: object) -> str:
    frame = {"view": view, "path": "/admin", "now": NOW, "api_url": "http://h:1"}
    visitor = SimpleNamespace(token="token", has_session=True, is_admin=True)
    return environment().get_template(f"parts/{part}.html").render(frame | {"visitor": visitor})


@pytest.mark.parametrize("part", VIEWS)
def test_hostile_text_is_text_in_every_part(part: str):
    html = rendered(part, VIEWS[part])
    assert "<script" not in html and "pwned" in html


@pytest.mark.parametrize("part", ["admin_logs", "webhooks"])
def test_a_part_whose_source_is_away_says_so(part: str):
    views = {
        "admin_logs": LogsView((), has_more=False, query={}, as_of=NOW, trouble="They are elsewhere."),
        "webhooks": WebhooksView((HOOK,), (), HOOK, (), None, (), {}, NOW, "They are elsewhere."),
    }
    assert "They are elsewhere." in rendered(part, views[part])


@pytest.mark.parametrize(
    ("part", "view", "words"),
    [
        ("api_keys", KeysView((), (), LIMITS, {"state": "all"}, NOW), "No key was made yet"),
        ("audit", AuditView(admin.AuditPage((), None, has_more=False), {}, NOW), "Nobody has changed anything"),
        ("admin_logs", LogsView((), has_more=False, query={}, as_of=NOW), "Nothing was logged"),
        (
            "dead_letters",
            DeadLettersView(admin.DeadLetterPage((), None, has_more=False), None, {}, NOW),
            "There are none",
        ),
        ("changes", ConfigView((), LIMITS, (), {}, NOW), "was changed yet"),
        ("webhooks", WebhooksView((), (), None, (), None, (), {}, NOW), "No endpoint yet"),
    ],
)
def test_an_empty_part_says_what_will_stand_there(part: str, view: object, words: str):
    assert words in rendered(part, view)


def test_a_limit_that_the_settings_hold_cannot_be_changed():
    html = rendered("owners", VIEWS["owners"])
    assert 'name="creates_per_minute_max"' in html and 'name="bytes_per_minute_max" value' not in html


def test_a_log_line_shows_its_clock_and_what_people_read():
    line = admin.LogLine("2030-01-01T07:08:09.123456Z", "gateway", "info", "x", {"trace_id": "t", "pid": 3})
    assert (line.clock, line.words) == ("07:08:09.123", "pid=3")
