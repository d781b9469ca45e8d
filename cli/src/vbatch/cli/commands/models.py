"""models: what a request's "model" may name, and how each runs on this machine."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from vbatch.chassis.settings import BadSettings, load
from vbatch.cli.api_types import ModelList
from vbatch.cli.exits import Misused
from vbatch.cli.fleets import servers_of
from vbatch.cli.option_groups import command
from vbatch.cli.options import local_settings, out, run
from vbatch.cli.profiles import Profiles, Settings, read_profiles
from vbatch.cli.server_options import ServerOptions
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


@command
def models(*, server: ServerOptions) -> None:
    """List the models that this server runs. On its own machine, also show the profile of each, and why it was
    chosen."""
    is_here = server.url is None
    answer = server.ask(lambda gateway: gateway.models())
    server.show(answer, ModelList, lambda found: _show(found, run(_profiles()) if is_here else None))


def _show(found: ModelList, profiles: Profiles | None) -> None:
    for model in found.data:
        out.print(model.id, markup=False)
        for line in run(_lines(profiles, ModelId(model.id))) if profiles else ():
            out.print(f"  {line}", markup=False, style="dim")


async def _lines(profiles: Profiles, model: ModelId) -> list[str]:
    """Return the servers of a model that runs elsewhere, and the profile of any model."""
    definition = profiles.definition(model)
    servers = await servers_of(definition) if definition and definition.engine is EngineKind.HTTP else []
    return [*(f"replica {server.name}: {server.trouble or 'answers'}" for server in servers), *profiles.lines(model)]


async def _profiles() -> Profiles | None:
    """Read the profiles from the log of this machine's stack. Return None if it cannot be read, because the list is
    useful without it."""
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
