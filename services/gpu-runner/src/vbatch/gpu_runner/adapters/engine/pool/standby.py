"""A process that has imported the engine's code and waits for an order to become that engine."""

from __future__ import annotations

import json
import os
from pathlib import Path

from vbatch.gpu_runner.adapters.engine.preloaded import vbatch_standby
from vbatch.gpu_runner.adapters.engine.process.child import Child, ProcessPaths
from vbatch.gpu_runner.core.command import EngineCommand
from vbatch.gpu_runner.core.standby import StandbyOrder, StandbyPlan, order_for

PROGRAM = "import vbatch_standby; vbatch_standby.main()"
NICENESS_BESIDE_WORK, NICENESS_ALONE = 19, 10
"""Alone, it gets a third of a core beside services that are starting, instead of almost nothing."""
ORDER_BYTES_MAX = 60_000
"""The capacity of a pipe (pipe(7)): the process reads the order only after it has imported everything."""


class Standby:
    """Waits under a guard like any engine. Once it has its order, its child is the engine."""

    def __init__(self, plan: StandbyPlan, child: Child, orders: int, slot: int) -> None:
        self.plan = plan
        self.child = child
        self.slot = slot
        self._orders: int | None = orders

    @classmethod
    async def start(
        cls, plan: StandbyPlan, process_paths: ProcessPaths, folder: Path, slot: int, *, gives_way: bool = True
    ) -> Standby:
        """Start a standby. `folder` is for its sockets; a killed standby leaves them there. With `gives_way` it yields
        to a running model, otherwise only to what starts beside it."""
        readable, writable = os.pipe()
        try:
            niceness = NICENESS_BESIDE_WORK if gives_way else NICENESS_ALONE
            child = await Child.start(_command(plan, folder, niceness), process_paths, stdin=readable)
        except BaseException:
            os.close(writable)
            raise
        finally:
            os.close(readable)
        return cls(plan, child, writable, slot)

    def order_for(self, command: EngineCommand) -> StandbyOrder | None:
        """Return the order for this engine; None if the standby cannot become it or has ended."""
        return order_for(self.plan, command) if self.child.is_running else None

    def give(self, order: StandbyOrder) -> bool:
        """Send the order; return whether it was sent. A process that has just ended takes none."""
        wire = _wire(order)
        if self._orders is None or len(wire) > ORDER_BYTES_MAX:
            return False
        try:
            return os.write(self._orders, wire) == len(wire)
        except BrokenPipeError:
            return False
        finally:
            self._close_orders()

    async def stop(self) -> None:
        self._close_orders()
        await self.child.stop()

    def _close_orders(self) -> None:
        if self._orders is not None:
            os.close(self._orders)
            self._orders = None


def can_fork() -> bool:
    """Under WSL the GPU's driver does not survive a fork (vLLM spawns there, too)."""
    return "microsoft" not in os.uname().release.lower()


def _command(plan: StandbyPlan, folder: Path, niceness: int) -> EngineCommand:
    described = json.dumps(
        {"modules": plan.modules, "threads": dict(plan.threads), "folder": str(folder), "niceness": niceness}
    )
    path = os.pathsep.join(filter(None, (str(Path(vbatch_standby.__file__).parent), os.environ.get("PYTHONPATH"))))
    return EngineCommand((plan.python, "-c", PROGRAM, described), {**plan.environment, "PYTHONPATH": path})


def _wire(order: StandbyOrder) -> bytes:
    described = {"module": order.module, "arguments": order.arguments, "environment": dict(order.environment)}
    return json.dumps(described).encode() + b"\n"
