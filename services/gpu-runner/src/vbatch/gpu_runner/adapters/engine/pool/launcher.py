"""Turns a model's definition into a ready engine: starts vLLM or the simulator, or connects to a base URL."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import count
from pathlib import Path

import structlog

from vbatch.contracts.events import EngineOrigin
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gpu_runner.adapters.device import free_bytes, machine_free_bytes, wait_until_free
from vbatch.gpu_runner.adapters.engine.fleet.client import FleetClient
from vbatch.gpu_runner.adapters.engine.fleet.targets import Targets
from vbatch.gpu_runner.adapters.engine.http.client import EngineClient
from vbatch.gpu_runner.adapters.engine.pool.model_files import (
    folder_of,
    need_of,
    read_ahead,
    refusal_of,
    shape_of_source,
)
from vbatch.gpu_runner.adapters.engine.pool.origins import origin_of
from vbatch.gpu_runner.adapters.engine.pool.standby import Standby, can_fork
from vbatch.gpu_runner.adapters.engine.process.child import Child, ProcessPaths
from vbatch.gpu_runner.adapters.engine.process.oom import oom_kill_count
from vbatch.gpu_runner.adapters.engine.process.runner_paths import RunnerPaths
from vbatch.gpu_runner.core.command import (
    DEVICE_BYTES,
    Device,
    EngineCommand,
    Places,
    effective_arguments,
    effective_concurrency,
    engine_command,
    given_way,
    may_sleep,
    schedules_by_priority,
)
from vbatch.gpu_runner.core.concurrency import EngineStats
from vbatch.gpu_runner.core.fleet.fleet import Fleet, Replica
from vbatch.gpu_runner.core.ladder import KERNEL_KILLED
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.model_cache import NOTHING, Need
from vbatch.gpu_runner.core.profile import Profile, profile_on
from vbatch.gpu_runner.core.standby import affords_standby, imports_for_free, standby_plan
from vbatch.gpu_runner.ports import Answer, EngineFailed, Gate, OpenAnswer, TunedSettings, open_gate

READY_POLL_SECONDS = 0.05
READY_POLL_SECONDS_MAX = 0.5

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


class RunningEngine:
    """An engine that is ready; `child` is None for an engine that runs elsewhere."""

    def __init__(
        self,
        definition: ModelDefinition,
        concurrency: int,
        client: EngineClient | FleetClient,
        child: Child | None = None,
        on_stopped: Callable[[], None] = lambda: None,
        *,
        can_sleep: bool = False,
        has_priority: bool = False,
    ) -> None:
        self.definition = definition
        self.can_sleep = can_sleep
        self.has_priority = has_priority
        self._oom_kills = oom_kill_count()
        self._concurrency = concurrency
        self.child = child
        self._client = client
        self._on_stopped = on_stopped

    @property
    def concurrency(self) -> int:
        return self._concurrency if self.places is None else self.places

    @property
    def places(self) -> int | None:
        return self._client.places if isinstance(self._client, FleetClient) else None

    @property
    def replicas(self) -> Sequence[Replica]:
        return self._client.replicas if isinstance(self._client, FleetClient) else ()

    def ask(self, endpoint: str, body: bytes, gate: Gate = open_gate, group: int = 0) -> Awaitable[Answer]:
        if isinstance(self._client, FleetClient):
            return self._client.ask(endpoint, body, gate, group)
        return self._client.ask(endpoint, body, gate)

    def open(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> AbstractAsyncContextManager[OpenAnswer]:
        return self._client.open(endpoint, body, headers)

    async def is_healthy(self) -> bool:
        if self.child and not self.child.is_running:
            return False
        return await self._client.is_healthy()

    async def progress(self) -> str | None:
        return await self._client.progress()

    async def stats(self) -> EngineStats | None:
        return await self._client.stats()

    async def metrics(self) -> bytes:
        return await self._client.metrics()

    async def gone(self) -> str:
        if isinstance(self._client, FleetClient):
            return await self._client.ended()
        assert self.child is not None, "an engine is a process of ours or a fleet"
        code = await self.child.wait()
        why = f" ({KERNEL_KILLED})" if oom_kill_count() > self._oom_kills else ""
        return f"the engine ended with code {code}{why}: {self.child.last_words()}"

    async def stop(self) -> None:
        await self._client.close()
        if self.child:
            await self.child.stop()
        self._on_stopped()


class EngineLauncher:
    """Starts engines on one device, each in its own slot with a socket, a log and a record of pids."""

    def __init__(
        self,
        paths: RunnerPaths,
        device: Device,
        limits: Limits,
        tuned: TunedSettings | None = None,
        *,
        niceness: int = 0,
    ) -> None:
        """`tuned` has what was measured for models on this device. With a `niceness`, engines give way to the other
        processes of the machine."""
        self._paths = paths
        self._tuned = tuned
        self._niceness = niceness
        self._device = device
        self._limits = limits
        self._free_before: int | None = None
        self._slots: set[int] = set()
        self._standby: Standby | None = None
        self._models_served: set[ModelId] = set()
        """The models served so far. Once there are two, another one is likely to follow each of them."""
        self._trusts_standbys = limits.has_standby and can_fork()

    async def launch(self, definition: ModelDefinition) -> RunningEngine:
        if fault := definition.source_fault():
            raise EngineFailed(fault)
        if definition.engine is EngineKind.HTTP:
            return await self._connect(definition)
        completed = (await self.profile(definition)).definition
        source = await self._model_source(definition)
        if refusal := await asyncio.to_thread(refusal_of, completed, source, self._device):
            raise EngineFailed(refusal)
        engine = await self._spawn(completed, source)
        engine.definition = definition  # as requested: comparisons of definitions ignore the device's choices
        return engine

    async def origin(self, definition: ModelDefinition) -> EngineOrigin:
        return await asyncio.to_thread(origin_of, definition, self._place(definition), self._paths.engine_python)

    async def profile(self, definition: ModelDefinition) -> Profile:
        """Return the profile, based on the model's files if they are here; a model that has yet to be made is judged
        later."""
        shape = await asyncio.to_thread(shape_of_source, self._place(definition))
        is_ours = definition.engine is EngineKind.VLLM
        tuned = await self._tuned.find(definition) if self._tuned and is_ours else None
        return profile_on(definition, self._device, shape, tuned.choices() if tuned else ())

    async def need(self, definition: ModelDefinition) -> Need:
        """Return the memory that the loaded model will take. Raises EngineFailed if its source is invalid."""
        if definition.engine is EngineKind.VLLM and definition.source_fault() is None:
            completed = (await self.profile(definition)).definition
            source = await self._model_source(definition)
            return await asyncio.to_thread(need_of, completed, source, self._device)
        claimed = effective_arguments(definition, self._device).get(DEVICE_BYTES)
        return NOTHING if definition.engine is EngineKind.HTTP else Need(None if claimed is None else int(claimed))

    async def expect(self, definition: ModelDefinition) -> None:
        """Read the model's weights into the page cache, and prepare a process that has imported the engine's code."""
        place = self._place(definition)
        await self._have_standby((await self.profile(definition)).definition, place)
        if definition.engine is EngineKind.VLLM and (folder := folder_of(place)):
            await asyncio.to_thread(read_ahead, folder, machine_free_bytes() // 2)

    async def _connect(self, definition: ModelDefinition) -> RunningEngine:
        concurrency = effective_concurrency(definition, self._device)
        client = FleetClient(Targets(definition), Fleet(concurrency), self._limits)
        engine = RunningEngine(definition, concurrency, client)
        await client.start()
        await self._wait_ready(engine)
        return engine

    async def close(self) -> None:
        """Stop the standby. Engines are stopped by their holders."""
        standby, self._standby = self._standby, None
        if standby:
            await standby.stop()
            self._leave_slot(standby.slot)

    async def _spawn(self, definition: ModelDefinition, source: str) -> RunningEngine:
        """Start from the standby if it fits this engine; otherwise, or if that fails, start a new process."""
        await self._wait_for_memory()
        try:
            engine = await self._from_standby(definition, source)
        except EngineFailed as error:
            log.warning("standby_failed", model=definition.id, detail=str(error))
            engine = await self._plainly(definition, source)
            self._trusts_standbys = False  # it failed but a plain start did not
        engine = engine or await self._plainly(definition, source)
        try:
            self._models_served.add(definition.id)
            if imports_for_free(self._device) or len(self._models_served) > 1:
                await self._have_standby(definition, source)
        except BaseException:
            await engine.stop()
            raise
        return engine

    async def _from_standby(self, definition: ModelDefinition, source: str) -> RunningEngine | None:
        """Return None if there is no standby or it does not fit this engine. Raises EngineFailed."""
        if (standby := self._standby) is None:
            return None
        order = standby.order_for(self._command(definition, source, standby.slot))
        if order is None or not standby.give(order):
            await self.close()
            return None
        self._standby = None
        return await self._ready(definition, standby.child, standby.slot)

    async def _plainly(self, definition: ModelDefinition, source: str) -> RunningEngine:
        slot = self._take_slot()
        try:
            child = await Child.start(self._command(definition, source, slot), self._engine_process_paths(slot))
        except BaseException:
            self._leave_slot(slot)
            raise
        return await self._ready(definition, child, slot)

    async def _ready(self, definition: ModelDefinition, child: Child, slot: int) -> RunningEngine:
        client = EngineClient(str(self._paths.socket(slot)), request_seconds_max=self._limits.request_seconds_max)
        concurrency = effective_concurrency(definition, self._device)
        leave = partial(self._leave_slot, slot)
        engine = RunningEngine(
            definition,
            concurrency,
            client,
            child,
            leave,
            can_sleep=self._can_sleep(definition),
            has_priority=schedules_by_priority(definition, self._device),
        )
        await self._wait_ready(engine)
        return engine

    def _command(self, definition: ModelDefinition, source: str, slot: int) -> EngineCommand:
        socket = str(self._paths.socket(slot))
        places = Places(str(self._paths.engine_python), sys.executable, socket, source)
        command = engine_command(definition, self._device, places, can_sleep=self._can_sleep(definition))
        return given_way(command, self._niceness) if self._niceness else command

    def _can_sleep(self, definition: ModelDefinition) -> bool:
        return self._limits.sleepers_max > 0 and may_sleep(definition, self._device)

    def _take_slot(self) -> int:
        slot = next(number for number in count() if number not in self._slots)
        self._paths.clear_slot(slot)
        self._slots.add(slot)
        return slot

    def _leave_slot(self, slot: int) -> None:
        self._paths.remove_slot(slot)
        self._slots.discard(slot)

    async def _have_standby(self, definition: ModelDefinition, source: str) -> None:
        """Start a standby for this model, unless one exists or none is possible."""
        if self._standby and self._standby.order_for(self._command(definition, source, self._standby.slot)):
            return
        await self.close()
        if not self._may_have_standby(definition):
            return
        slot = self._take_slot()
        try:
            if plan := standby_plan(self._command(definition, source, slot), definition.engine, os.environ):
                folder = self._paths.socket(slot).parent
                is_alone = self._slots == {slot}
                process_paths = self._engine_process_paths(slot)
                self._standby = await Standby.start(plan, process_paths, folder, slot, gives_way=not is_alone)
        except OSError as error:
            log.warning("standby_not_started", reason=str(error))
        finally:
            if self._standby is None:
                self._leave_slot(slot)

    def _may_have_standby(self, definition: ModelDefinition) -> bool:
        is_ours = definition.engine is not EngineKind.HTTP and definition.source_fault() is None
        is_affordable = affords_standby(machine_free_bytes(), self._limits.standby_spare_bytes)
        return self._trusts_standbys and is_ours and is_affordable

    async def _wait_for_memory(self) -> None:
        """Wait until the memory of the previous engine is free again; a new engine reports a shortage itself."""
        if self._slots - {self._standby.slot if self._standby else None}:
            return  # others are loaded beside it: the free memory says nothing about the previous engine
        await wait_until_free(self._device, self._free_before, self._limits.memory_free_seconds_max)
        self._free_before = await free_bytes(self._device)

    def _engine_process_paths(self, slot: int) -> ProcessPaths:
        sockets = self._paths.socket(slot).parent
        return self._paths.process_paths(f"engine-{slot}", self._limits.engine_stop_seconds, sockets)

    async def _wait_ready(self, engine: RunningEngine) -> None:
        """Wait until the engine is ready. Stops it when it fails or when this is cancelled. Raises EngineFailed."""
        try:
            async with asyncio.timeout(self._limits.startup_seconds_max):
                await _until_healthy(engine)
        except TimeoutError as error:
            words = engine.child.last_words() if engine.child else "no healthy answer from any of its addresses"
            await engine.stop()
            raise EngineFailed(f"not ready within {self._limits.startup_seconds_max:g} s: {words}") from error
        except BaseException:
            await engine.stop()
            raise

    async def _model_source(self, definition: ModelDefinition) -> str:
        if definition.engine is not EngineKind.VLLM:
            return ""
        if definition.hub:
            return definition.hub
        if definition.folder:
            return self._paths.folder(definition.folder)
        return str(await self._prepared(definition.package or ""))

    def _place(self, definition: ModelDefinition) -> str:
        """Where the model's files are or will be."""
        source = definition.hub or (definition.folder and self._paths.folder(definition.folder))
        return source or (str(self._paths.home / "models" / definition.package) if definition.package else "")

    async def _prepared(self, package: str) -> Path:
        """Return the folder of a packaged model, prepared on first use. Raises EngineFailed."""
        target = self._paths.home / "models" / package
        if target.is_dir():
            return target
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        python, script = str(self._paths.engine_python), str(self._paths.prepare_script)
        process_paths = self._paths.process_paths("prepare", self._limits.engine_stop_seconds)
        child = await Child.start(EngineCommand((python, script, package, str(target))), process_paths)
        try:
            code = await child.wait()
        finally:
            await child.stop()
        if code != 0:
            raise EngineFailed(f"{package} could not be prepared: {child.last_words()}")
        return target


async def _until_healthy(engine: RunningEngine) -> None:
    pause = READY_POLL_SECONDS
    while not await engine.is_healthy():
        if engine.child and not engine.child.is_running:
            raise EngineFailed(await engine.gone())
        await asyncio.sleep(pause)
        pause = min(pause * 1.2, READY_POLL_SECONDS_MAX)
