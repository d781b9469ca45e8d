"""`python -m vbatch.scheduler`. The worker that reads files also imports this module, but needs nothing from it."""

from __future__ import annotations


def main() -> None:
    from vbatch.chassis.process import run_service
    from vbatch.chassis.settings import load_or_exit
    from vbatch.scheduler.settings import SchedulerSettings
    from vbatch.scheduler.wiring import service

    settings = load_or_exit(SchedulerSettings)
    run_service(service(settings), "scheduler", settings=settings)


if __name__ == "__main__":
    main()
