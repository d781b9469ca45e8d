"""Run a runner: `python -m vbatch.gpu_runner`."""

from __future__ import annotations

from vbatch.chassis.process import run_service
from vbatch.chassis.settings import load_or_exit
from vbatch.gpu_runner.settings import RunnerSettings
from vbatch.gpu_runner.wiring import SERVICE, run


def main() -> None:
    settings = load_or_exit(RunnerSettings)
    run_service(lambda stop: run(settings, stop), SERVICE, settings=settings)


if __name__ == "__main__":
    main()
