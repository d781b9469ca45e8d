"""A service of the stack reduced to its health pages; files in the home make it misbehave."""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import ClassVar

from vbatch.chassis.health import NotReady, Readiness, serve_health
from vbatch.chassis.metrics import service_registry
from vbatch.chassis.process import Stop, run_service
from vbatch.chassis.settings import ServiceSettings, load_or_exit


async def serve(settings: ServiceSettings, name: str, stop: Stop) -> None:
    obey_order_to_crash(settings.home / f"{name}.crashes")
    readiness = Readiness()
    readiness.add("order", partial(obey, settings.home / f"{name}.unready"))
    async with serve_health(readiness, service_registry(name), port=settings.port):
        await stop.wait()


def obey_order_to_crash(order: Path) -> None:
    if order.exists():
        raise RuntimeError("told to crash")


async def obey(order: Path) -> str:
    if await asyncio.to_thread(order.exists):
        raise NotReady("told not to be ready")
    return os.environ["VBATCH_NATS_URL"]


if __name__ == "__main__":

    class StandinSettings(ServiceSettings):
        section: ClassVar[str] = sys.argv[1].replace("-", "_")

    loaded = load_or_exit(StandinSettings)
    run_service(partial(serve, loaded, sys.argv[1]), sys.argv[1], settings=loaded)
