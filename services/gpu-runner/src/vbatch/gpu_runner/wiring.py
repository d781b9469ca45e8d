"""Builds a runner from its settings: one at a time per home folder, after sweeping what the previous one left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import structlog
from prometheus_client import CollectorRegistry

from vbatch.chassis.blobs import open_blobs
from vbatch.chassis.clock import utc_now
from vbatch.chassis.crash_notes import NotesFile, tell_of_set_aside
from vbatch.chassis.files import hold_lock
from vbatch.chassis.health import serve_health
from vbatch.chassis.log_space import report_waiting_writes
from vbatch.chassis.metrics import loop_lag, service_registry
from vbatch.chassis.process import Stop
from vbatch.chassis.readiness import NotReady, Readiness
from vbatch.chassis.reported_settings import settings_page
from vbatch.chassis.shared_token import provided_token
from vbatch.contracts.ids import RunnerId
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.adapters.blobs import BlobFiles
from vbatch.gpu_runner.adapters.device import detect
from vbatch.gpu_runner.adapters.device_processes import device_processes
from vbatch.gpu_runner.adapters.engine.pool.launcher import EngineLauncher
from vbatch.gpu_runner.adapters.engine.pool.model_cache import ModelCache
from vbatch.gpu_runner.adapters.engine.pool.trials import Trials, trial_paths
from vbatch.gpu_runner.adapters.engine.process.runner_paths import RunnerPaths
from vbatch.gpu_runner.adapters.engine.process.sweep import sweep
from vbatch.gpu_runner.adapters.fleet_metrics import FleetCollector
from vbatch.gpu_runner.adapters.gpu_metrics import Gpu, gpu_reading, power_watts
from vbatch.gpu_runner.adapters.lane_api import DeviceReadings, lane_pages
from vbatch.gpu_runner.adapters.metrics import RunnerCollector, engine_page, engine_reading
from vbatch.gpu_runner.adapters.tuned_files import TunedFiles
from vbatch.gpu_runner.core.command import Device
from vbatch.gpu_runner.core.tuning import Candidate
from vbatch.gpu_runner.flows.runner import Dependencies, Runner
from vbatch.gpu_runner.flows.tuning import OnTrial, tune
from vbatch.gpu_runner.settings import RunnerSettings
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Journal
from vbatch.journal.quarantine import QuarantineMeans
from vbatch.journal.settings import JournalSettings

SERVICE = "gpu-runner"

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


async def run(settings: RunnerSettings, stop: Stop) -> None:
    """Run the runner once. Raises what ends it, except a requested stop."""
    paths = _paths(settings)
    paths.run_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with hold_lock(paths.run_folder / "lock"):
        if killed := await asyncio.to_thread(sweep, paths.run_folder):
            log.warning("leftovers_killed", pids=killed)
        await asyncio.to_thread(sweep, trial_paths(paths).run_folder)
        for folder in (paths, trial_paths(paths)):
            folder.remove_slots()
        async with connect(_journal_settings(settings)) as journal:
            await journal.topology()  # the first service to start creates the streams
            files = BlobFiles(open_blobs(settings.blob_url))
            registry = service_registry(SERVICE)
            means = QuarantineMeans(NotesFile(paths.run_folder / "ends.json"), tell_of_set_aside(registry))
            runner = await _runner(settings, paths, journal, files, means)
            async with _watched(settings, runner, journal, files, registry=registry):
                await runner.run(stop)


async def _runner(
    settings: RunnerSettings, paths: RunnerPaths, journal: Journal, files: BlobFiles, means: QuarantineMeans
) -> Runner:
    device = await detect(settings.gpu_index, settings.cpu_features)
    dependencies = Dependencies(
        journal=journal,
        launcher=_launcher(settings, paths, device),
        input_files=files,
        answer_files=files,
        device=device,
        now=utc_now,
        means=means,
        trials=Trials.beside(paths, device, settings.limits),
        tuned=_tuned_files(settings, device),
    )
    return Runner(RunnerId(settings.id), os.getpid(), dependencies, settings.limits)


def _launcher(settings: RunnerSettings, paths: RunnerPaths, device: Device) -> ModelCache:
    engines = EngineLauncher(paths, device, settings.limits, _tuned_files(settings, device))
    return ModelCache(engines, device, settings.limits, asyncio.get_running_loop().time)


def _tuned_files(settings: RunnerSettings, device: Device) -> TunedFiles:
    return TunedFiles(settings.home / "tuned", device, settings.engine_python.absolute())


async def tune_model(
    settings: RunnerSettings, definition: ModelDefinition, described: OnTrial
) -> tuple[Candidate, Device]:
    """Return the best profile of a model on this device, which must be free. Raises LockHeld, Untunable."""
    paths = _paths(settings)
    paths.run_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with hold_lock(paths.run_folder / "lock"):
        await asyncio.to_thread(sweep, paths.run_folder)
        device = await detect(settings.gpu_index, settings.cpu_features)
        launcher = _launcher(settings, paths, device)
        try:
            completed = (await launcher.profile(definition)).definition
            return await tune(completed, device, launcher, described), device
        finally:
            await launcher.close()


@asynccontextmanager
async def _watched(
    settings: RunnerSettings, runner: Runner, journal: Journal, files: BlobFiles, *, registry: CollectorRegistry
) -> AsyncIterator[None]:
    """Serve health and metrics while the block runs."""
    registry.register(RunnerCollector(runner.metrics, runner.feed, asyncio.get_running_loop().time))
    registry.register(FleetCollector(lambda: runner.replicas))
    readiness = _readiness(runner, journal, files)
    report_waiting_writes(journal.waiting_writes, readiness, registry)
    gpu = Gpu(settings.gpu_index)
    readings = {"engine": engine_reading(runner.engine_metrics), "gpu": gpu_reading(gpu)}
    token = await asyncio.to_thread(provided_token, settings.lane_token_path)
    processes = partial(asyncio.to_thread, device_processes, settings.gpu_index)
    lane = lane_pages(lambda: runner.lane, token, DeviceReadings(partial(power_watts, gpu), processes))
    pages = [engine_page(runner.engine_metrics), settings_page(settings), *lane]
    health = serve_health(readiness, registry, host=settings.host, port=settings.port, pages=pages, readings=readings)
    async with health, loop_lag(registry):
        yield


def _readiness(runner: Runner, journal: Journal, files: BlobFiles) -> Readiness:
    async def nats() -> None:
        if not journal.is_connected:
            raise NotReady("not connected")

    async def engine() -> str:
        return runner.engine_state

    async def lease() -> str:
        if runner.epoch == 0:
            raise NotReady("no lease yet")
        return f"epoch {runner.epoch}"

    async def answer_files() -> str:
        if files.trouble is not None:
            raise NotReady(files.trouble)
        return "no answer waits to be stored"

    readiness = Readiness()
    readiness.add("nats", nats)
    readiness.add("lease", lease)
    readiness.add("engine", engine)
    readiness.add("answer_files", answer_files)
    return readiness


def _paths(settings: RunnerSettings) -> RunnerPaths:
    return RunnerPaths(
        settings.home, settings.id, settings.engine_python.absolute(), settings.prepare_script.absolute()
    )


def _journal_settings(settings: RunnerSettings) -> JournalSettings:
    common = JournalSettings.of(settings, SERVICE)
    return replace(common, work_in_flight_max=settings.orders_max, waits_for_space=True)
