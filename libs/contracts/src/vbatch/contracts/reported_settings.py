"""What a service reports about the settings it runs with, on `GET /settings` of its port. Never a secret."""

from __future__ import annotations

from enum import StrEnum

import msgspec

SETTINGS_PATH = "/settings"
SETTINGS_BYTES_MAX = 256 << 10
VALUE_CHARS_MAX = 512


class SettingSource(StrEnum):
    """Where a value comes from."""

    DEFAULT = "default"
    ENVIRONMENT = "environment"
    FILE = "file"
    EVENT = "event"
    """It was changed while the server ran."""


class Effect(StrEnum):
    """When a change of a setting takes effect."""

    LIVE = "live"
    RESTART = "restart"


class ReportedSetting(msgspec.Struct, frozen=True, kw_only=True):
    """`variable` is the environment variable that sets it; `place` is the variable or the file that did, if any.
    `value` and `default` are texts for people. For a secret the value is only `set`."""

    name: str
    variable: str
    value: str
    default: str
    source: SettingSource
    place: str
    description: str
    is_secret: bool
    effect: Effect = Effect.RESTART


class ReportedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`section` is the table of the settings file that belongs to the service."""

    section: str
    settings: tuple[ReportedSetting, ...]
