"""The settings that a process runs with, as its administrators may see them: value, source, default, meaning.

Secrets are only said to be set, and URLs lose what could be one: user, password and query.
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
    """All settings of the process, by name."""
    fields = sorted(type(settings).model_fields.items())
    return ReportedSettings(
        section=settings.section, settings=tuple(_reported(settings, name, field) for name, field in fields)
    )


def settings_page(settings: ServiceSettings) -> web.RouteDef:
    """`GET /settings`, for the health port of a service. The sources are those of its start."""
    body = msgspec.json.encode(reported_settings(settings))

    async def page(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return web.get(SETTINGS_PATH, page)


def shown_value(value: object) -> str:
    """The value as one would write it, without secrets."""
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
    """Each URL among the words without user, password and query."""
    return " ".join(_plain_url(word) if "://" in word else word for word in text.split(" "))


def _plain_url(url: str) -> str:
    """Several URLs may stand in one word, with commas between; what is no URL at all is not shown."""
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
    """As the sources of ServiceSettings come one after another; an empty variable counts as none."""
    own, common = f"{PREFIX}{settings.section.upper()}_{name.upper()}", f"{PREFIX}{name.upper()}"
    for candidate in (own, common):
        if environment.get(candidate):
            return SettingSource.ENVIRONMENT, candidate
    if in_file(type(settings), name):
        return SettingSource.FILE, environment.get(CONFIG_VARIABLE, "")
    return SettingSource.DEFAULT, ""
