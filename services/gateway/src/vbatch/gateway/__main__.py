"""`python -m vbatch.gateway`: reads its settings from the environment and runs one process until SIGTERM."""

from __future__ import annotations

import sys

from vbatch.chassis.process import Stop, run_service
from vbatch.chassis.settings import EXIT_BAD_SETTINGS, BadSettings, load_or_exit
from vbatch.gateway.settings import Configuration, GatewaySettings, read_configuration
from vbatch.gateway.wiring import SERVICE, run


def main() -> None:
    settings = load_or_exit(GatewaySettings)
    configuration = _configuration_or_exit(settings)

    async def live(stop: Stop) -> None:
        await run(configuration, stop)

    run_service(live, SERVICE, settings=settings)


def _configuration_or_exit(settings: GatewaySettings) -> Configuration:
    try:
        return read_configuration(settings)
    except BadSettings as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EXIT_BAD_SETTINGS) from None


if __name__ == "__main__":
    main()
