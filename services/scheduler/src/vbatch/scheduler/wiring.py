"""The composition root: settings in, a running scheduler out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from vbatch.chassis.clock import utc_now
from vbatch.chassis.crash_notes import NotesFile, tell_of_set_aside
from vbatch.chassis.health import NotReady, Readiness, serve_health
from vbatch.chassis.log_space import report_waiting_writes
from vbatch.chassis.metrics import loop_lag, service_registry
from vbatch.chassis.process import Stop
from vbatch.chassis.readings import Reading
from vbatch.chassis.reported_settings import settings_page
from vbatch.chassis.shared_token import provided_token
from vbatch.journal.jetstream import connect
from vbatch.journal.jetstream.journal import JetStreamJournal
from vbatch.journal.port import Journal
from vbatch.journal.quarantine import QuarantineMeans
from vbatch.journal.settings import JournalSettings
from vbatch.scheduler.adapters.metrics import BatchTimes, forecast_reading, log_reading, state_reading
from vbatch.scheduler.adapters.planner import process_planner
from vbatch.scheduler.adapters.queue_api import check_pages, demand_page, dry_run_pages, queue_api
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.core.policy.policy import Policy, stay_then_oldest
from vbatch.scheduler.flows.checking import Checking
from vbatch.scheduler.flows.demanding import Demanding
from vbatch.scheduler.flows.estimating import Estimating
from vbatch.scheduler.flows.forecasting import Forecasting
from vbatch.scheduler.flows.planning import Limits
from vbatch.scheduler.flows.scheduling import Scheduler
from vbatch.scheduler.settings import PolicyName, SchedulerSettings

POLICIES: dict[PolicyName, Policy] = {
    PolicyName.DEADLINE_AWARE: DensityPolicy(),
    PolicyName.FIFO: stay_then_oldest,
}


def service(settings: SchedulerSettings) -> Callable[[Stop], Awaitable[None]]:
    async def main(stop: Stop) -> None:
        async with connect(replace(JournalSettings.of(settings, "scheduler"), waits_for_space=True)) as journal:
            await journal.topology()
            await _run(settings, journal, stop)

    return main


async def _run(settings: SchedulerSettings, journal: JetStreamJournal, stop: Stop) -> None:
    readiness, registry = Readiness(), service_registry("scheduler")
    limits = Limits(settings.lines_max, settings.line_bytes_max, settings.mixed_models)
    async with process_planner(settings.blob_url, settings.home / "plans") as planner:
        policy, silence = POLICIES[settings.policy], settings.runner_silence_seconds_max
        means = QuarantineMeans(NotesFile(_notes_path(settings)), tell_of_set_aside(registry))
        scheduler = Scheduler(
            journal, planner, policy, utc_now, os.getpid(), limits, silence, means, settings.flaw_share_max
        )
        scheduler.heartbeats, scheduler.is_standby = journal.heartbeats, settings.standby
        scheduler.observe = BatchTimes(scheduler.state, registry).observe
        _add_checks(readiness, journal, scheduler)
        report_waiting_writes(journal.waiting_writes, readiness, registry)
        forecasting = Forecasting(scheduler.state, scheduler.policy, utc_now, lambda: scheduler.is_caught_up)
        estimating = Estimating(scheduler.state, policy, planner, limits, utc_now)
        demanding = Demanding(scheduler.state, utc_now, settings.demand_rules, scheduler.wake)
        scheduler.demanded = demanding.current
        token = await asyncio.to_thread(provided_token, settings.lane_token_path)
        checking = Checking(scheduler.state, planner, limits)
        health = serve_health(
            readiness,
            registry,
            host=settings.host,
            port=settings.port,
            pages=[
                *queue_api(forecasting),
                *check_pages(checking, lambda: scheduler.is_caught_up),
                *dry_run_pages(estimating, lambda: scheduler.is_caught_up),
                demand_page(demanding, lambda: scheduler.is_caught_up, token),
                settings_page(settings),
            ],
            readings=_readings(scheduler, forecasting, journal),
        )
        async with loop_lag(registry), health:
            await scheduler.run(stop)


def _notes_path(settings: SchedulerSettings) -> Path:
    """The path of the notes. A standby on the same machine has its own."""
    name = f"scheduler-standby-{settings.port}" if settings.standby else "scheduler"
    return settings.home / "run" / f"{name}.ends.json"


def _readings(scheduler: Scheduler, forecasting: Forecasting, journal: Journal) -> dict[str, Reading]:
    return {
        "state": state_reading(scheduler.state, utc_now),
        "forecast": forecast_reading(forecasting.forecast, scheduler.state, forecasting.is_caught_up),
        "log": log_reading(journal.log, scheduler.state),
    }


def _add_checks(readiness: Readiness, journal: Journal, scheduler: Scheduler) -> None:
    async def nats() -> str:
        if not journal.is_connected:
            raise NotReady("no connection")
        return "connected"

    async def log() -> str:
        if scheduler.writer.epoch == 0 and scheduler.is_standby:
            raise NotReady("another scheduler has the lease; this one waits for it")
        if not scheduler.is_caught_up:
            raise NotReady(f"reading the log, at sequence {scheduler.state.sequence}")
        return f"at sequence {scheduler.state.sequence}"

    readiness.add("nats", nats)
    readiness.add("log", log)
