"""The settings that each service runs with, as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
from pydantic import BaseModel

from vbatch.contracts.reported_settings import Effect, ReportedSetting, ReportedSettings, SettingSource
from vbatch.gateway.core.rate_limits import KeyLimits, Limited


@dataclass(frozen=True, slots=True)
class SettingsReport:
    """What one service reported of its settings, or why it did not answer."""

    service: str
    told: ReportedSettings | None
    trouble: str = ""


class SettingObject(BaseModel):
    """`place` is the variable or the file that sets it. `effect` says whether a change takes effect at once or at a
    restart."""

    name: str
    variable: str
    value: str
    default: str
    source: SettingSource
    place: str
    description: str
    is_secret: bool
    effect: Effect


class ServiceSettingsObject(BaseModel):
    """`trouble` says why a service that does not answer reports no settings."""

    object: Literal["service_settings"] = "service_settings"
    service: str
    section: str | None
    settings: list[SettingObject]
    trouble: str | None


class SettingsList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ServiceSettingsObject]


def with_limits(told: ReportedSettings, limits: KeyLimits) -> ReportedSettings:
    """Return the gateway's own settings with the rate limits that are in force; one that is not pinned can be changed
    while the server runs."""
    live = {limited.value: limits.in_force(limited) for limited in Limited if limited not in limits.pinned}
    return msgspec.structs.replace(told, settings=tuple(_in_force(setting, live) for setting in told.settings))


def settings_view(reports: Sequence[SettingsReport]) -> SettingsList:
    return SettingsList(data=[_report_view(report) for report in reports])


def _in_force(setting: ReportedSetting, live: Mapping[str, int]) -> ReportedSetting:
    if setting.name not in live:
        return setting
    value = str(live[setting.name])
    source = SettingSource.DEFAULT if value == setting.default else SettingSource.EVENT
    return msgspec.structs.replace(setting, value=value, source=source, effect=Effect.LIVE)


def _report_view(report: SettingsReport) -> ServiceSettingsObject:
    told = report.told
    return ServiceSettingsObject(
        service=report.service,
        section=told.section if told else None,
        settings=[SettingObject(**msgspec.structs.asdict(setting)) for setting in told.settings] if told else [],
        trouble=report.trouble or None,
    )
