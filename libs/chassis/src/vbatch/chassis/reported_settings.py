"""The settings that a process runs with, as its administrators may see them: value, source, default, meaning.

Of a secret only the fact that it is set is shown. URLs lose every part that could be secret: user, password and query.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import Enum
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from vbatch.chassis.settings import CONFIG_VARIABLE, PREFIX, ServiceSettings, in_file, variable
from vbatch.contracts.reported_settings import (
    SETTINGS_PATH,
    VALUE_CHARS_MAX,
    ReportedSetting,
    ReportedSettings,
    SettingSource,
)

NOT_SET = "not set"
SET = "set"
COMPUTED = "computed from other settings"


def reported_settings(settings: ServiceSettings) -> ReportedSettings:
    """Return all settings of the process, by name."""
    fields = sorted(type(settings).model_fields.items())
    return ReportedSettings(
        section=settings.section, settings=tuple(_reported(settings, name, field) for name, field in fields)
    )


def settings_page(settings: ServiceSettings) -> web.RouteDef:
    """`GET /settings`, for the health port of a service. The sources are those at its start."""
    body = msgspec.json.encode(reported_settings(settings))

    async def page(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return web.get(SETTINGS_PATH, page)


def shown_value(value: object) -> str:
    """Return the value as a person would write it, without secrets."""
    match value:
        case None:
            return NOT_SET
        case SecretStr():
            return SET
        case bool():
            return str(value).lower()
        case Enum():
            return str(value.value)
        case _:
            return without_secrets(str(value))[:VALUE_CHARS_MAX]


def without_secrets(text: str) -> str:
    """Return the text in which each URL has no user, password or query."""
    return " ".join(_plain_url(word) if "://" in word else word for word in text.split(" "))


def _plain_url(url: str) -> str:
    """Return the word without secrets. Several URLs may be in one word, separated by commas. A word that is not a URL
    is not shown."""
    try:
        parts = [urlsplit(each) for each in url.split(",")]
    except ValueError:
        return "?"
    plain = [each._replace(netloc=each.netloc.rpartition("@")[2], query="", fragment="").geturl() for each in parts]
    return ",".join(plain)


def _reported(settings: ServiceSettings, name: str, field: FieldInfo) -> ReportedSetting:
    source, place = _source(settings, name, os.environ)
    value = getattr(settings, name)
    return ReportedSetting(
        name=name,
        variable=variable(type(settings), name),
        value=shown_value(value),
        default=COMPUTED if field.default_factory is not None else shown_value(field.default),
        source=source,
        place=place,
        description=field.description or "",
        is_secret="SecretStr" in str(field.annotation),
    )


def _source(settings: ServiceSettings, name: str, environment: Mapping[str, str]) -> tuple[SettingSource, str]:
    """Look in the sources in the order of ServiceSettings. An empty variable counts as not set."""
    own, common = f"{PREFIX}{settings.section.upper()}_{name.upper()}", f"{PREFIX}{name.upper()}"
    for candidate in (own, common):
        if environment.get(candidate):
            return SettingSource.ENVIRONMENT, candidate
    if in_file(type(settings), name):
        return SettingSource.FILE, environment.get(CONFIG_VARIABLE, "")
    return SettingSource.DEFAULT, ""
