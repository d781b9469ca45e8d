"""What the forms of administrators ask for, and what they refuse."""

from __future__ import annotations

import pytest

from vbatch.console.core.admin_forms import (
    key_body,
    limits_body,
    number_of,
    quota_body,
    rotation_body,
    undo_fields,
    undone_quota,
    webhook_body,
)
from vbatch.console.core.admin_objects import Change, FieldChange, Quota
from vbatch.console.core.admin_snippets import route_snippets
from vbatch.console.core.new_batch import Misfilled

NOW = 1_900_000_000
KEY = {"owner": " ann ", "name": "laptop", "scope": "user", "expires": "7"}
CHANGE = Change(9, NOW, "local", "limits.changed", "all keys", (FieldChange("creates_per_minute_max", 0, 60),))


def test_a_key_is_asked_for_with_its_end():
    assert key_body(KEY, NOW) == {
        "owner": "ann",
        "name": "laptop",
        "scopes": ["user"],
        "expires_at": NOW + 7 * 86_400,
    }
    assert "expires_at" not in key_body(KEY | {"expires": ""}, NOW)


@pytest.mark.parametrize("wrong", [{"owner": ""}, {"name": " "}, {"scope": "root"}, {"expires": "8"}])
def test_a_key_that_is_filled_in_wrongly_is_refused(wrong: dict[str, str]):
    with pytest.raises(Misfilled):
        key_body(KEY | wrong, NOW)


def test_an_empty_field_limits_nothing_and_a_missing_one_changes_nothing():
    assert quota_body({"stored_bytes_max": "1,000"})["stored_bytes_max"] == 1_000
    assert quota_body({})["priority_max"] is None
    assert limits_body({"reads_per_minute_max": ""}) == {"reads_per_minute_max": 0}


@pytest.mark.parametrize("text", ["a few", "1.5", "9" * 40, "\uff11\uff12", "<b>"])
def test_what_is_no_whole_number_is_refused_and_quoted(text: str):
    with pytest.raises(Misfilled, match="no whole number"):
        number_of(text, "reads")


def test_a_webhook_needs_a_name_a_url_and_an_event():
    assert webhook_body({"name": "n", "url": "https://h/"}, ["batch.failed"])["event_types"] == ["batch.failed"]
    for fields, types in (({"name": "n"}, ["batch.failed"]), ({"name": "n", "url": "https://h/"}, [])):
        with pytest.raises(Misfilled):
            webhook_body(fields, types)


def test_a_rotation_keeps_the_old_key_for_as_long_as_the_form_offers():
    assert rotation_body({"keep_old_for_hours": "24"}) == {"keep_old_for_hours": 24}
    with pytest.raises(Misfilled):
        rotation_body({"keep_old_for_hours": "25"})


def test_an_undo_sets_what_was_before_and_nothing_else():
    assert undo_fields(CHANGE) == {"creates_per_minute_max": "0", "from": "config", "is_undo": "yes"}
    quota = Quota(5, None, 7, None, None)
    change = Change(1, NOW, "x", "owner.quota_changed", "ann", (FieldChange("stored_bytes_max", 3, 7),))
    undone = undone_quota(quota, change)
    assert (undone["stored_bytes_max"], undone["unfinished_batches_max"]) == (3, 5)


def test_an_ask_is_told_in_three_tongues_and_never_with_a_key():
    told = route_snippets("http://h:1", "DELETE", "/v1/admin/keys/k'1", "vbatch keys revoke k1")
    assert [snippet.title for snippet in told] == ["vbatch", "curl", "Python"]
    assert "-X DELETE" in told[1].text and "$OPENAI_API_KEY" in told[1].text
    compile(told[2].text, "snippet", "exec")
