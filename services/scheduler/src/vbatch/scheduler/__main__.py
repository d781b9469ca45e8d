"""`python -m vbatch.scheduler`."""

from __future__ import annotations

from vbatch.chassis.process import run_service
from vbatch.chassis.settings import load_or_exit
from vbatch.scheduler.wiring import SchedulerSettings, service

if __name__ == "__main__":
    settings = load_or_exit(SchedulerSettings)
    run_service(service(settings), "scheduler", settings=settings)
