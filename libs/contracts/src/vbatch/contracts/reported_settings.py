"""What a service tells of the settings it runs with, on `GET /settings` of its port. Never a secret."""

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
    """When a change of a setting counts."""

    LIVE = "live"
    RESTART = "restart"


class ReportedSetting(msgspec.Struct, frozen=True, kw_only=True):
    """`variable` is the environment variable that sets it, `place` the variable or the file that did, if any did.
    `value` and `default` are texts for people, and `set` stands for the value of a secret."""

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
