"""Sends requests to the replicas of a model, and to another replica if one has no room or is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import structlog

from vbatch.gpu_runner.adapters.engine.fleet.targets import Targets
from vbatch.gpu_runner.adapters.engine.http.client import EngineClient
from vbatch.gpu_runner.adapters.engine.http.connection_pool import TcpTarget
from vbatch.gpu_runner.core.concurrency import EngineStats
from vbatch.gpu_runner.core.fleet.fleet import Fleet, Replica, Waiting
from vbatch.gpu_runner.core.fleet.moves import Move, Moves
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.ports import Answer, AnswerNotHttp, ConnectionLost, Gate, NotConnected, OpenAnswer, open_gate

TICK_SECONDS = 0.1
RESOLVE_EVERY_SECONDS = 5.0
SILENT_SECONDS = 2.0
"""A replica with requests inside and no answer for this long is probed."""
SILENCE_SECONDS_MAX = 10.0
"""A replica that answers neither requests nor probes for this long is lost, if there is another one. A busy server may
be slow to answer a probe."""

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


class FleetClient:
    """`start` opens the client and keeps its list of replicas current until `close`."""

    def __init__(self, targets: Targets, fleet: Fleet, limits: Limits) -> None:
        self._targets = targets
        self._fleet = fleet
        self._limits = limits
        self._clients: dict[str, EngineClient] = {}
        self._rooms: dict[Waiting, asyncio.Future[Replica]] = {}
        self._duties: dict[str, asyncio.Task[None]] = {}
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._keeper: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")

    async def start(self) -> None:
        """Find the replicas and follow them from now on; `is_healthy` is true once one of them answers."""
        await self._look()
        self._keeper = asyncio.create_task(self._keep())

    async def ended(self) -> str:
        """Return why the fleet is no longer kept up to date; do not return while it is."""
        if self._keeper is None:
            return "the fleet was not started"
        await asyncio.wait([self._keeper])
        error = None if self._keeper.cancelled() else self._keeper.exception()
        return f"the keeper of the fleet ended: {error!r}"

    async def close(self) -> None:
        tasks = [*([self._keeper] if self._keeper else []), *self._duties.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in self._clients.values():
            await client.close()

    @property
    def places(self) -> int:
        return self._fleet.places

    @property
    def replicas(self) -> Sequence[Replica]:
        return list(self._fleet.replicas.values())

    async def ask(self, endpoint: str, body: bytes, gate: Gate = open_gate, group: int = 0) -> Answer:
        """Send one request to a replica, and to another if that one refuses it, cannot be reached or is lost with the
        request on it.

        Raises ConnectionLost, RequestTimedOut, AnswerTooLarge. A ConnectionLost counts all connections that were lost
        with this request.
        """
        moves = Moves()
        waiting = self._fleet.wait(group, self._clock())
        while True:
            replica = await self._room(waiting)
            try:
                answer = await self._ask(replica, endpoint, body, gate)
                move = moves.after(answer.status_code, is_lost=replica.size == 0) if answer else moves.unreached()
            except ConnectionLost as error:
                answer, move = None, self._after_loss(error, replica, moves)
            finally:
                self._leave(replica)
            if answer is not None and move is Move.FINAL:
                return answer
            if move is Move.FINAL or not self._fleet.is_answering():
                raise _unreached(moves.lost_count)
            if pause := moves.pause:
                await asyncio.sleep(pause)
            self._fleet.wait_again(waiting, self._clock())

    @asynccontextmanager
    async def open(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> AsyncIterator[OpenAnswer]:
        """Send one request that a client waits for to the replica with the most room. Raises as `ask`."""
        tried: list[str] = []
        while (replica := self._fleet.for_client(tried)) is not None:
            tried.append(replica.name)
            replica.lane_inside += 1
            try:
                async with self._clients[replica.name].open(endpoint, body, headers) as answer:
                    yield answer
                    return
            except NotConnected:
                self._lost(replica, is_gone=True)
            finally:
                replica.lane_inside -= 1
        raise _unreached()

    async def is_healthy(self) -> bool:
        if self._fleet.is_answering():
            return True
        await asyncio.gather(*(self._probe(replica) for replica in self.replicas))
        return self._fleet.is_answering()

    async def progress(self) -> str | None:
        told = await asyncio.gather(*(client.progress() for client in self._reachable()))
        return "\n".join(filter(None, told)) or None

    async def stats(self) -> EngineStats | None:
        """Return None: the fleet itself finds out how many requests to keep inside."""
        return None

    async def metrics(self) -> bytes:
        return b"\n".join(await asyncio.gather(*(client.metrics() for client in self._reachable())))

    # one request

    async def _room(self, waiting: Waiting) -> Replica:
        """Return the replica that has room for the request; the request counts as inside from then on."""
        room: asyncio.Future[Replica] = asyncio.get_running_loop().create_future()
        self._rooms[waiting] = room
        self._assign()
        try:
            return await room
        except asyncio.CancelledError:
            self._fleet.withdraw(waiting)
            if not room.cancelled():
                self._leave(room.result())
            raise
        finally:
            del self._rooms[waiting]

    async def _ask(self, replica: Replica, endpoint: str, body: bytes, gate: Gate) -> Answer | None:
        """Return the answer and report it to the fleet; None if the replica cannot be reached. Raises
        ConnectionLost."""
        client, sent_at = self._clients[replica.name], self._clock()
        try:
            answer = await client.ask(endpoint, body, gate)
        except NotConnected:
            self._lost(replica, is_gone=True)
            return None
        except ConnectionLost:
            self._lost(replica)
            raise
        if Moves.is_refusal(answer.status_code):
            pause = answer.retry_after
            asked = min(pause, self._limits.retry_after_seconds_max) if pause is not None else None
            self._fleet.refused(replica, sent_at, self._clock(), asked)
        elif answer.status_code < 500:
            self._fleet.answered(replica, sent_at, self._clock())
        if answer.status_code >= 500 and not await client.is_healthy():
            self._lost(replica, is_gone=True)  # it answers at once, and would get every request
        return answer

    def _after_loss(self, error: ConnectionLost, replica: Replica, moves: Moves) -> Move:
        """Judge a connection that was lost with the request on it; raise the error if the request is not sent again."""
        move = moves.lost(self._limits.reconnects_max, has_other=self._fleet.has_other(replica))
        error.tries = moves.lost_count
        if move is Move.FINAL or isinstance(error, AnswerNotHttp):
            raise error
        return move

    def _leave(self, replica: Replica) -> None:
        self._fleet.release(replica)
        self._assign()

    def _assign(self) -> None:
        for assignment in self._fleet.assign(self._clock()):
            room = self._rooms[assignment.waiting]
            if room.done():  # it was cancelled a moment ago
                self._fleet.release(assignment.replica)
            else:
                room.set_result(assignment.replica)

    def _lost(self, replica: Replica, *, is_gone: bool = False) -> None:
        was_up = replica.size > 0
        self._fleet.lost(replica, self._clock(), is_gone=is_gone)
        if was_up and replica.size == 0:
            log.warning("replica_lost", replica=replica.name, inside=replica.inside)

    # keeping

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = self._clock()
            if not self._targets.is_fixed and now - self._looked_at >= RESOLVE_EVERY_SECONDS:
                self._begin("", self._look)
            for replica in self.replicas:
                if self._needs_probe(replica, now):
                    self._begin(replica.name, partial(self._probe, replica))
            self._assign()

    def _begin(self, name: str, duty: Callable[[], Coroutine[None, None, None]]) -> None:
        """Start the duty beside the others, at most one at a time for each name."""
        if name not in self._duties:
            task = self._duties[name] = asyncio.create_task(duty())
            task.add_done_callback(partial(self._ended, name))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self._duties[name]
        if not task.cancelled() and (error := task.exception()):
            log.error("fleet_duty_failed", replica=name, reason=repr(error))

    def _needs_probe(self, replica: Replica, now: float) -> bool:
        is_silent = replica.inside > 0 and now - replica.heard_at >= SILENT_SECONDS
        return replica.breaker.is_probe_due(now) or is_silent

    async def _probe(self, replica: Replica) -> None:
        client = self._clients.get(replica.name)
        is_healthy = client is not None and await client.is_healthy()
        now = self._clock()
        if is_healthy:
            replica.heard_at = now
        elif replica.size and client and now - replica.heard_at >= self._silence_seconds_max:
            self._lost(replica, is_gone=True)
            client.abort()
        was_down = replica.size == 0
        replica.breaker.probed(now, is_healthy=is_healthy)
        if was_down and replica.size:
            log.info("replica_answers", replica=replica.name)
            self._assign()

    @property
    def _silence_seconds_max(self) -> float:
        """How long a replica may be silent. Requests of the only one that answers have nowhere else to go, so it gets
        as long as an engine of the runner's own: llama.cpp's server does not take a probe while requests wait for a
        thread of its HTTP server."""
        answering = sum(replica.size > 0 and not replica.is_leaving for replica in self.replicas)
        return SILENCE_SECONDS_MAX if answering > 1 else self._limits.silence_seconds_max

    async def _look(self) -> None:
        """Look up the replicas. If a name cannot be resolved now, the known replicas stay."""
        self._looked_at = self._clock()
        try:
            found = await self._targets.look()
        except (OSError, TimeoutError) as error:
            log.warning("replicas_not_resolved", reason=f"{type(error).__name__}: {error}")
            return
        if found:
            await self._follow(found)

    async def _follow(self, found: Mapping[str, TcpTarget]) -> None:
        for name, target in found.items():
            if name not in self._clients:
                self._clients[name] = EngineClient(target, request_seconds_max=self._limits.request_seconds_max)
        self._fleet.follow(list(found), self._clock())
        for name in [name for name in self._clients if name not in self._fleet.replicas]:
            await self._clients.pop(name).close()

    def _reachable(self) -> list[EngineClient]:
        return [self._clients[replica.name] for replica in self.replicas if replica.size]


def _unreached(lost_count: int = 0) -> NotConnected:
    error = NotConnected("no replica of the model can be reached")
    error.tries = max(1, lost_count)
    return error
