"""`python -m vbatch.console`: settings from the environment, one process until SIGTERM."""

from __future__ import annotations

from vbatch.chassis.process import Stop, run_service
from vbatch.chassis.settings import load_or_exit
from vbatch.console.settings import ConsoleSettings
from vbatch.console.wiring import SERVICE, run


def main() -> None:
    settings = load_or_exit(ConsoleSettings)

    async def live(stop: Stop) -> None:
        await run(settings, stop)

    run_service(live, SERVICE, settings=settings)


if __name__ == "__main__":
    main()
