"""An event loop without a clock or a kernel: time jumps to the next timer, and a random draw picks the next process.

Inside one process, callbacks keep asyncio's first-in-first-out order, which real code may rely on; between processes
there is no such order, so each step draws one of those that have something to do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any


class Lane:
    """The pending callbacks of one life of one process. A paused lane does nothing until it continues."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: deque[asyncio.Handle] = deque()
        self.tasks: list[asyncio.Task[Any]] = []
        self.is_paused = False
        self.is_dead = False

    def check_alive(self) -> None:
        """Stop what a dead process still does on its way out from reaching anything."""
        if self.is_dead:
            raise asyncio.CancelledError(f"{self.name} is dead")


LANE: ContextVar[Lane] = ContextVar("LANE")


class Stuck(Exception):
    """Nothing is ready and no timer is set: every task waits for another one."""


class OrderedTask(asyncio.Task[Any]):
    """Its hash is its creation number: asyncio keeps tasks in sets, whose order must not depend on addresses."""

    def __init__(self, coro: Coroutine[Any, Any, Any], number: int, **options: Any) -> None:
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class SimulatedLoop(asyncio.BaseEventLoop):
    """`steps` counts the callbacks that ran. Threads are simulated too: their work runs here, a little later."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.steps = 0
        self._random = random
        self._seconds = 0.0
        self._timers: list[tuple[float, int, Lane, asyncio.TimerHandle]] = []
        self._numbers = count()
        self._world = Lane("world")
        self._lanes = [self._world]

    def time(self) -> float:
        return self._seconds

    def open_lane(self, name: str) -> tuple[Lane, Context]:
        """Return a new process, and the context in which to start its first task."""
        lane, context = Lane(name), copy_context()
        context.run(LANE.set, lane)
        self._lanes.append(lane)
        return lane, context

    def kill(self, lane: Lane) -> None:
        """Cancel its tasks; the ports refuse everything they still try."""
        lane.is_dead, lane.is_paused = True, False
        for task in lane.tasks:
            task.cancel()

    def end(self) -> None:
        """Tear everything down, so that nothing is left to be torn down at an arbitrary moment."""
        for lane in self._lanes:
            self.kill(lane)
        open_tasks = [task for lane in self._lanes for task in lane.tasks if not task.done()]
        if open_tasks:
            self.run_until_complete(asyncio.wait(open_tasks))
        self.close()

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> asyncio.Task[Any]:
        task = OrderedTask(coro, next(self._numbers), loop=self, name=name, context=context)
        self._lane_of(context).tasks.append(task)
        return task

    def call_soon(  # type: ignore[override]  # callbacks of any shape; the loop does not look at their arguments
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._lane_of(context).ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # as above

    def call_later(  # type: ignore[override]  # as above
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._seconds + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._numbers), self._lane_of(context), handle))
        return handle

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # a simulated thread needs no TypeVarTuple
        """As with a real thread, a cancelled wait does not stop the work; the death of the process does."""
        future, lane = self.create_future(), LANE.get(self._world)

        def work() -> None:
            if lane.is_dead:
                return
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001  # every error belongs to the waiter
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.call_soon(work)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Ignore what a dead process left behind; an error that ends a live one is seen by its waiter."""

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer stays in the heap and does nothing at its time."""

    def _lane_of(self, context: Context | None) -> Lane:
        return LANE.get(self._world) if context is None else context.get(LANE, self._world)

    def _run_once(self) -> None:
        while not self._stopping:  # type: ignore[attr-defined]  # set by BaseEventLoop.stop
            handle = self._chosen().ready.popleft()
            if not handle.cancelled():
                self.steps += 1
                handle._run()

    def _chosen(self) -> Lane:
        while not (able := [lane for lane in self._lanes if lane.ready and not lane.is_paused]):
            self._jump()
        return able[0] if len(able) == 1 else able[int(self._random.random() * len(able))]

    def _jump(self) -> None:
        """Jump to the next timer that is not cancelled."""
        while self._timers:
            when, _, lane, handle = heappop(self._timers)
            if not handle.cancelled():
                self._seconds = max(self._seconds, when)
                lane.ready.append(handle)
                return
        raise Stuck(f"at {self._seconds:.3f} s nothing is ready and no timer is set")
