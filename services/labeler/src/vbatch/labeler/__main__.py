"""`python -m vbatch.labeler`: settings from the environment, one process until SIGTERM."""

from __future__ import annotations

from vbatch.chassis.process import Stop, run_service
from vbatch.chassis.settings import load_or_exit
from vbatch.labeler.settings import LabelerSettings
from vbatch.labeler.wiring import SERVICE, run


def main() -> None:
    settings = load_or_exit(LabelerSettings)

    async def live(stop: Stop) -> None:
        await run(settings, stop)

    run_service(live, SERVICE, settings=settings)


if __name__ == "__main__":
    main()
