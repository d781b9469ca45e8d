"""What is measured without being asked, when it is measured, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest

from tests.support.events import NOON
from tests.support.processors import lay_out, recorded
from vbatch.contracts.events import EngineOrigin, ProfileTuned
from vbatch.contracts.ids import ModelId, RunnerId
from vbatch.contracts.models import DeviceOverrides, EngineKind, ModelDefinition
from vbatch.gpu_runner.adapters.engine.pool.trials import Trials
from vbatch.gpu_runner.adapters.engine.process.runner_paths import RunnerPaths
from vbatch.gpu_runner.adapters.machine import read_processor
from vbatch.gpu_runner.adapters.tuned_files import TunedFiles
from vbatch.gpu_runner.core.command import Device, DeviceKind, effective_arguments
from vbatch.gpu_runner.core.concurrency import EngineStats
from vbatch.gpu_runner.core.gpu import Gpu
from vbatch.gpu_runner.core.idle_tuning import (
    IdleTuning,
    Tuned,
    alternatives,
    is_known,
    is_tuned_when_idle,
    next_candidate,
    verdict,
)
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.processor import Feature, LogicalCore, Processor
from vbatch.gpu_runner.core.profile import Profile, profile_on
from vbatch.gpu_runner.core.tuning import Candidate, Trial
from vbatch.gpu_runner.flows.change_signal import ChangeSignal
from vbatch.gpu_runner.flows.idle_tuning import IdleTuner
from vbatch.gpu_runner.ports import Answer, ConnectionLost, EngineFailed, Gate, OpenAnswer, open_gate

GIB = 1 << 30
PROCESSORS = recorded()
UNKNOWN_PROCESSORS = {"xeon_x5670"}
"""Recorded processors of which the table has no feature: before AVX2."""
MODEL = ModelDefinition(id=ModelId("org/small"), hub="org/small", max_num_seqs=16)


def cpu(*features: Feature, cores: int = 2) -> Device:
    processor = Processor("of tomorrow", frozenset(features), tuple(LogicalCore(n, n) for n in range(cores)))
    return Device(DeviceKind.CPU, processor.name, 16 * GIB, cores=tuple(range(cores)), processor=processor)


UNKNOWN, KNOWN = cpu(), cpu(Feature.AVX2)


def changes_of(definition: ModelDefinition, device: Device = UNKNOWN) -> list[dict[str, object]]:
    return [dict(other.changes) for other in alternatives(definition, profile_on(definition, device), device)]


def trial(rate: float, **changes: str) -> Trial:
    return Trial(Candidate(changes), 48, rate, fault="" if rate else "it did not start")


# the rules


@pytest.mark.parametrize("name", PROCESSORS)
def test_the_table_knows_the_recorded_processors_except_the_oldest(name: str, tmp_path: Path):
    lay_out(PROCESSORS[name], tmp_path)
    processor = read_processor(root=tmp_path, usable=range(PROCESSORS[name].logical_count))
    assert is_known(replace(UNKNOWN, processor=processor)) is (name not in UNKNOWN_PROCESSORS)


def test_a_gpu_is_known_if_its_driver_describes_it():
    card = Device(DeviceKind.NVIDIA, "a card", 16 * GIB)
    assert not is_known(card)
    assert is_known(replace(card, gpu=Gpu(0, "a card", 16 * GIB, (9, 0))))


def test_by_default_only_an_unknown_device_is_measured_and_never_a_simulated_engine():
    simulated = ModelDefinition(id=ModelId("simulated"), engine=EngineKind.SIMULATED)
    usual = Limits().idle_tuning
    assert is_tuned_when_idle(usual, MODEL, UNKNOWN)
    assert not is_tuned_when_idle(usual, MODEL, KNOWN)
    assert not is_tuned_when_idle(IdleTuning.NEVER, MODEL, UNKNOWN)
    assert is_tuned_when_idle(IdleTuning.ALWAYS, MODEL, KNOWN)
    assert not any(is_tuned_when_idle(mode, simulated, UNKNOWN) for mode in IdleTuning)


def test_dtype_threads_and_compiling_are_tried_one_by_one():
    assert changes_of(MODEL) == [
        {"dtype": "bfloat16"},
        {"dtype": "float32"},
        {"OMP_NUM_THREADS": "1"},
        {"enforce-eager": False},
    ]


def test_what_the_definition_says_is_not_tried():
    said = DeviceOverrides(
        arguments={"dtype": "float32", "enforce_eager": True}, environment={"VLLM_CPU_OMP_THREADS_BIND": "0"}
    )
    assert changes_of(msgspec.structs.replace(MODEL, cpu=said)) == []


def test_a_model_that_was_published_quantised_keeps_its_dtype():
    profile = replace(profile_on(MODEL, UNKNOWN), is_quantized=True)
    assert all("dtype" not in other.changes for other in alternatives(MODEL, profile, UNKNOWN))


def test_on_an_unknown_gpu_narrow_dtypes_and_eager_execution_are_tried():
    card = Device(DeviceKind.NVIDIA, "a card", 16 * GIB)
    assert changes_of(MODEL, card) == [{"dtype": "bfloat16"}, {"dtype": "float16"}, {"enforce-eager": True}]


def test_where_a_container_has_no_cores_of_its_own_no_threads_are_tried():
    assert UNKNOWN.processor is not None
    boxed = replace(UNKNOWN, processor=replace(UNKNOWN.processor, quota=1.0))
    assert not any("VLLM_CPU_OMP_THREADS_BIND" in changes for changes in changes_of(MODEL, boxed))


def test_what_won_is_measured_together_after_the_current_settings_once_more():
    others = [Candidate({"a": "1"}), Candidate({"a": "2"}), Candidate({"b": "1"}), Candidate({"c": "1"})]
    first = [trial(10.0), trial(13.0, a="1"), trial(14.0, a="2"), trial(12.7, b="1"), trial(12.1, c="1")]
    assert [next_candidate(first[:count], others) for count in range(5)] == [Candidate({}), *others]
    assert next_candidate(first, others) == Candidate({})
    second = [*first, trial(10.5)]
    assert next_candidate(second, others) == Candidate({"a": "2", "b": "1"})
    last = [*second, trial(15.0, a="2", b="1")]
    assert next_candidate(last, others) is None
    assert verdict(last, others) == Tuned({"a": "2", "b": "1"}, 10.5, 15.0)


def test_a_win_over_a_slow_moment_of_the_current_settings_is_none():
    others = [Candidate({"a": "1"})]
    trials = [trial(10.0), trial(13.0, a="1"), trial(12.9)]
    assert next_candidate(trials, others) is None
    assert verdict(trials, others) == Tuned({}, 12.9, 12.9)


def test_a_win_that_the_second_round_does_not_confirm_changes_nothing():
    others = [Candidate({"a": "1"})]
    trials = [trial(10.0), trial(13.0, a="1"), trial(10.1), trial(11.0, a="1")]
    assert next_candidate(trials, others) is None
    assert verdict(trials, others) == Tuned({}, 10.1, 10.1)


def test_where_nothing_wins_by_more_than_the_noise_the_first_round_decides():
    others = [Candidate({"a": "1"}), Candidate({"b": "1"})]
    trials = [trial(10.0), trial(11.5, a="1"), trial(0.0, b="1")]
    assert next_candidate(trials, others) is None
    assert verdict(trials, others) == Tuned({}, 10.0, 10.0)


def test_without_a_rate_of_the_current_settings_there_is_no_result():
    others = [Candidate({"a": "1"})]
    assert next_candidate([trial(0.0)], others) is None
    assert verdict([trial(0.0)], others) is None


def test_a_model_is_loaded_with_what_was_measured_and_the_reason_says_so():
    measured = Tuned({"dtype": "float32", "enforce-eager": False}, 1.1, 6.5).choices()
    profile = profile_on(MODEL, UNKNOWN, None, measured)
    arguments = effective_arguments(profile.definition, UNKNOWN)
    assert (arguments["dtype"], arguments["enforce-eager"]) == ("float32", False)
    reasons = {setting.name: setting.reason for setting in profile.settings}
    assert reasons["dtype"] == "measured on this device while it was idle: 6.5 instead of 1.1 requests/s"


def test_the_definition_wins_over_what_was_measured():
    said = msgspec.structs.replace(MODEL, arguments={"dtype": "bfloat16"})
    profile = profile_on(said, UNKNOWN, None, Tuned({"dtype": "float32"}, 1.1, 6.5).choices())
    assert effective_arguments(profile.definition, UNKNOWN)["dtype"] == "bfloat16"


# the files


def files(folder: Path, engine: str = "vllm-0.32.0") -> TunedFiles:
    packages = folder / engine / "lib" / "python3.11" / "site-packages"
    (packages / f"{engine}.dist-info").mkdir(parents=True, exist_ok=True)
    return TunedFiles(folder / "tuned", UNKNOWN, folder / engine / "bin" / "python")


async def test_a_result_is_kept_for_this_device_this_model_and_this_engine(tmp_path: Path):
    tuned = Tuned({"dtype": "float32", "enforce-eager": False}, 1.1, 6.5)
    await files(tmp_path).keep(MODEL, tuned)
    assert await files(tmp_path).find(MODEL) == tuned
    assert await replace(files(tmp_path), device=cpu(cores=4)).find(MODEL) is None
    assert await files(tmp_path, "vllm-0.33.0").find(MODEL) is None
    assert await files(tmp_path).find(msgspec.structs.replace(MODEL, max_num_seqs=32)) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 100_000])
async def test_a_file_that_cannot_be_read_counts_as_missing(tmp_path: Path, content: bytes):
    await files(tmp_path).keep(MODEL, Tuned({}, 1.0, 1.0))
    (path,) = (tmp_path / "tuned").iterdir()
    path.write_bytes(content)
    assert await files(tmp_path).find(MODEL) is None


async def test_an_engine_for_which_there_is_no_memory_beside_the_others_is_not_started(tmp_path: Path):
    paths = RunnerPaths(tmp_path, "gpu0", tmp_path / "python", tmp_path / "prepare.py")
    trials = replace(Trials.beside(paths, UNKNOWN, Limits()), spare_bytes=1 << 60)
    definition = ModelDefinition(id=ModelId("m"), engine=EngineKind.SIMULATED, arguments={"memory-bytes": GIB})
    with pytest.raises(EngineFailed, match=r"it takes 1\.0 GiB, and 0\.0 GiB are free beside the loaded models"):
        await trials.launch(definition)


# the flow, on engines that live in the test


SECONDS_BY_DTYPE = {"": 0.05, "bfloat16": 0.05, "float32": 0.001}
"""How long an answer takes: far enough apart for a busy machine."""


class TimedEngine:
    """Answers each request after the time that its dtype takes."""

    concurrency = 48
    places = None
    replicas = ()
    has_priority = True

    def __init__(self, definition: ModelDefinition, launcher: TimedLauncher) -> None:
        self.definition = definition
        self._launcher = launcher
        self._seconds = SECONDS_BY_DTYPE[str(effective_arguments(definition, UNKNOWN).get("dtype", ""))]

    async def ask(self, endpoint: str, body: bytes, gate: Gate = open_gate, group: int = 0) -> Answer:
        self._launcher.asked.set()
        await asyncio.sleep(self._seconds)
        return Answer(200, b"{}")

    @asynccontextmanager
    async def open(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> AsyncIterator[OpenAnswer]:
        raise ConnectionLost("nobody asks it interactively")
        yield

    async def is_healthy(self) -> bool:
        return True

    async def progress(self) -> str | None:
        return None

    async def stats(self) -> EngineStats | None:
        return None

    async def metrics(self) -> bytes:
        return b""

    async def gone(self) -> str:
        await asyncio.Event().wait()
        return ""

    async def release(self) -> None:
        return None

    async def stop(self) -> None:
        self._launcher.running -= 1
        self._launcher.stopped.set()


class TimedLauncher:
    """Counts the engines that run."""

    def __init__(self) -> None:
        self.running = 0
        self.launched: list[ModelDefinition] = []
        self.asked, self.stopped = asyncio.Event(), asyncio.Event()
        self.fault = ""

    async def profile(self, definition: ModelDefinition) -> Profile:
        return profile_on(definition, UNKNOWN)

    async def origin(self, definition: ModelDefinition) -> EngineOrigin:
        return EngineOrigin(engine="vllm 0.32.0")

    async def launch(self, definition: ModelDefinition) -> TimedEngine:
        if self.fault:
            raise EngineFailed(self.fault)
        self.running += 1
        self.launched.append(definition)
        return TimedEngine(definition, self)


@dataclass
class Scene:
    """A runner whose device is unknown, and that is idle."""

    folder: Path
    limits: Limits = field(default_factory=lambda: Limits(idle_tuning_rest_seconds=0.01))
    launcher: TimedLauncher = field(default_factory=TimedLauncher)
    changed: ChangeSignal = field(default_factory=ChangeSignal)
    told: list[ProfileTuned] = field(default_factory=list)
    is_idle: bool = True

    def __post_init__(self) -> None:
        self.tuner = IdleTuner(
            runner_id=RunnerId("gpu0"),
            epoch=7,
            device=UNKNOWN,
            launcher=self.launcher,
            settings=files(self.folder),
            tell=self.told.append,
            changed=self.changed,
            limits=self.limits,
            now=lambda: NOON,
            is_idle=lambda: self.is_idle,
        )

    def turn(self, *, idle: bool) -> None:
        self.is_idle = idle
        self.changed.fire()

    async def measured(self) -> None:
        async with asyncio.timeout(60):
            await self.tuner.watch(MODEL)


async def test_an_idle_runner_measures_keeps_the_result_and_says_so(tmp_path: Path):
    scene = Scene(tmp_path)
    await scene.measured()
    (told,) = scene.told
    changes = {setting.name: setting.value for setting in told.changes}
    assert changes["dtype"] == "float32"
    assert (told.model, told.device, told.engine) == (MODEL.id, "of tomorrow", "vllm 0.32.0")
    assert told.rate > told.rate_before > 0
    assert told.trial_count == 7
    kept = await files(tmp_path).find(MODEL)
    assert kept is not None and kept.changes["dtype"] == "float32"
    assert scene.launcher.running == 0


async def test_what_was_measured_once_is_not_measured_a_second_time(tmp_path: Path):
    await files(tmp_path).keep(MODEL, Tuned({}, 1.0, 1.0))
    scene = Scene(tmp_path)
    await scene.measured()
    assert scene.launcher.launched == [] and scene.told == []


async def test_work_that_arrives_ends_the_measuring_at_once_and_idleness_continues_it(tmp_path: Path):
    scene = Scene(tmp_path)
    watching = asyncio.create_task(scene.measured())
    await scene.launcher.asked.wait()
    scene.turn(idle=False)
    async with asyncio.timeout(10):
        await scene.launcher.stopped.wait()
    assert scene.launcher.running == 0
    launched = len(scene.launcher.launched)
    await asyncio.sleep(0.1)
    assert len(scene.launcher.launched) == launched, "it measures although there is work"
    scene.turn(idle=True)
    await watching
    assert len(scene.told) == 1


async def test_a_runner_that_was_busy_a_moment_ago_is_left_alone(tmp_path: Path):
    scene = Scene(tmp_path, Limits(idle_tuning_rest_seconds=3600))
    watching = asyncio.create_task(scene.measured())
    await asyncio.sleep(0.1)
    assert scene.launcher.launched == []
    watching.cancel()
    await asyncio.wait([watching])


async def test_a_model_that_is_about_to_leave_takes_the_measured_engine_with_it(tmp_path: Path):
    scene = Scene(tmp_path)
    watching = asyncio.create_task(scene.measured())
    await scene.launcher.asked.wait()
    watching.cancel()
    await asyncio.wait([watching])
    assert watching.cancelled() and scene.launcher.running == 0


async def test_measuring_that_takes_too_long_ends_without_a_result(tmp_path: Path):
    scene = Scene(tmp_path, Limits(idle_tuning_rest_seconds=0.01, idle_tuning_seconds_max=0.05))
    await scene.measured()
    assert scene.told == [] and scene.launcher.running == 0
    assert await files(tmp_path).find(MODEL) is None


async def test_a_model_that_fits_only_once_is_not_measured(tmp_path: Path):
    scene = Scene(tmp_path)
    scene.launcher.fault = "it takes 12.0 GiB, and 3.0 GiB are free beside the loaded models"
    await scene.measured()
    assert scene.told == []


async def test_a_known_device_is_left_alone(tmp_path: Path):
    scene = Scene(tmp_path)
    await replace(scene.tuner, device=KNOWN).watch(MODEL)
    assert scene.launcher.launched == [] and scene.told == []
