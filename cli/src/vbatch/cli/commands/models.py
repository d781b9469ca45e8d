"""models: what a request's "model" may name, and how each runs on this machine."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from vbatch.chassis.settings import BadSettings, load
from vbatch.cli.api_types import ModelList, read
from vbatch.cli.client import connect
from vbatch.cli.exits import Misused
from vbatch.cli.fleets import servers_of
from vbatch.cli.options import ApiKey, AsJson, Url, local_settings, out, print_json, run, server_url
from vbatch.cli.profiles import Profiles, Settings, read_profiles
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gpu_runner.adapters.device import DeviceTrouble, detect
from vbatch.gpu_runner.core.command import Device
from vbatch.gpu_runner.core.profile import described, profile_on
from vbatch.gpu_runner.settings import RunnerSettings
from vbatch.journal.jetstream import connect as connect_log
from vbatch.journal.port import Unavailable
from vbatch.local.log_access import log_settings

LOG_SECONDS = 2.0


def models(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List the models this server runs, and, on its own machine, with which profile and why."""

    async def ask() -> None:
        async with connect(server_url(url), api_key) as server:
            answer = await server.models()
        if as_json:
            print_json(answer)
            return
        profiles = await _profiles() if url is None else None
        for model in read(answer, ModelList).data:
            out.print(model.id, markup=False)
            for line in await _lines(profiles, ModelId(model.id)) if profiles else ():
                out.print(f"  {line}", markup=False, style="dim")

    run(ask())


async def _lines(profiles: Profiles, model: ModelId) -> list[str]:
    """The servers of a model that runs elsewhere, and the profile of any."""
    definition = profiles.definition(model)
    servers = await servers_of(definition) if definition and definition.engine is EngineKind.HTTP else []
    return [*(f"replica {server.name}: {server.trouble or 'answers'}" for server in servers), *profiles.lines(model)]


async def _profiles() -> Profiles | None:
    """By the log of this machine's stack; None where it cannot be read: the list is worth having without."""
    settings = replace(log_settings(local_settings(), "cli"), connect_seconds=LOG_SECONDS)
    try:
        device = await _device()
        async with asyncio.timeout(2 * LOG_SECONDS), connect_log(settings) as journal:
            return await read_profiles(journal.log, lambda definition: _expected_profile(definition, device))
    except (Unavailable, DeviceTrouble, TimeoutError):
        return None


async def _device() -> Device:
    try:
        settings = load(RunnerSettings)
    except BadSettings as error:
        raise Misused(str(error)) from error
    return await detect(settings.gpu_index, settings.cpu_features)


def _expected_profile(definition: ModelDefinition, device: Device) -> Settings:
    return described(profile_on(definition, device), {})
