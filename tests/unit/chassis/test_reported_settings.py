"""Settings as administrators see them: value, source, default, and never a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from vbatch.chassis.reported_settings import reported_settings, shown_value, without_secrets
from vbatch.chassis.settings import CONFIG_VARIABLE
from vbatch.contracts.reported_settings import ReportedSetting, SettingSource
from vbatch.gateway.settings import GatewaySettings


def settings_of(**given: object) -> GatewaySettings:
    fields: dict[str, Any] = {"postgres_url": SecretStr("postgresql://u:hidden-word@h/db"), **given}
    return GatewaySettings(**fields)


def told(name: str) -> ReportedSetting:
    settings = settings_of()
    return next(each for each in reported_settings(settings).settings if each.name == name)


def test_a_setting_nobody_touched_has_its_default():
    found = told("event_streams_max")
    assert (found.value, found.default, found.source, found.place) == ("100", "100", SettingSource.DEFAULT, "")
    assert found.description == "Event streams open at once." and found.variable == "VBATCH_GATEWAY_EVENT_STREAMS_MAX"


def test_the_environment_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VBATCH_LOG_LEVEL", "debug")
    found = told("log_level")
    assert (found.value, found.source, found.place) == ("debug", SettingSource.ENVIRONMENT, "VBATCH_LOG_LEVEL")


def test_the_settings_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    path = tmp_path / "vbatch.toml"
    path.write_text("[gateway]\nconnections_max = 7\n")
    monkeypatch.setenv(CONFIG_VARIABLE, str(path))
    found = told("connections_max")
    assert (found.value, found.source, found.place) == ("7", SettingSource.FILE, str(path))


def test_a_secret_is_only_said_to_be_set():
    found = told("postgres_url")
    assert (found.value, found.is_secret) == ("set", True)


def test_no_value_of_any_setting_holds_a_planted_secret():
    settings = settings_of(
        nats_url="nats://user:hidden-word@h:4222,nats://h2:4222", blob_url="s3://bucket/files?secret=hidden-word"
    )
    assert "hidden-word" not in str(reported_settings(settings))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://name:word@host/path?token=x#part", "http://host/path"),
        ("nats://a:b@h1:1,nats://h2:2", "nats://h1:1,nats://h2:2"),
        ("http://h:4084 http://u:p@h:4085", "http://h:4084 http://h:4085"),
        ("/var/lib/vbatch", "/var/lib/vbatch"),
        ("http://[broken", "?"),
    ],
)
def test_urls_lose_what_could_be_a_secret(text: str, shown: str):
    assert without_secrets(text) == shown


def test_a_long_value_is_cut_and_a_missing_one_is_named():
    assert len(shown_value("x" * 10_000)) == 512
    assert shown_value(None) == "not set" and shown_value(True) == "true"


def test_what_is_called_a_secret_is_one():
    """A new field with such a name must be a SecretStr, or name a file."""
    names = {name for name in GatewaySettings.model_fields if {"password", "secret", "token"} & set(name.split("_"))}
    values = {name for name in names if not name.endswith("_file")}
    assert all("SecretStr" in str(GatewaySettings.model_fields[name].annotation) for name in values)
