"""The complete server: NATS, PostgreSQL and all services as processes, used over HTTP like any client would."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psutil
from openai import OpenAI
from openai.types import Batch, FileObject

from benchmarks.engine_study import laps
from benchmarks.engine_study.counters import Watch
from benchmarks.engine_study.laps import Lap, Setup
from benchmarks.engine_study.programs import check_answers
from benchmarks.engine_study.workloads import Workload, warm_up
from tests.support.stack import RunningStack, stack_home
from vbatch.contracts import subjects
from vbatch.contracts.ids import BatchId
from vbatch.gpu_runner.adapters.engine.process.runner_paths import RunnerPaths
from vbatch.journal.jetstream import connect
from vbatch.journal.settings import JournalSettings
from vbatch.local.log_access import log_settings

RUNNER = "gpu-runner"
ENDED = {"completed", "failed", "cancelled", "expired"}
POLL_SECONDS = 5.0
"""The time is measured by the log; polling meanwhile only costs the engine time."""
LAP_SECONDS_MAX = 3_600.0


class Ours:
    name = laps.OURS

    def __init__(self, setup: Setup, stack: RunningStack) -> None:
        self._setup, self._stack = setup, stack
        self._socket = engine_socket(stack, setup)

    def lap(self, work: Workload) -> Lap:
        """One lap, timed from the first slice to the end of counting, both by their times in the log."""
        with self._stack.client() as client:
            files = [_uploaded(client, lines) for lines in work.split()]
            before = self._cpu_seconds()
            with Watch(self._socket, len(work.lines), self._setup.runs_at_once, work.is_watched) as watch:
                created = [_created(client, file.id) for file in files]
                batches = [_ended(client, batch) for batch in created]
            spent = {name: seconds - before[name] for name, seconds in self._cpu_seconds().items()}
            outputs = [client.files.content(batch.output_file_id or "").content for batch in batches]
            check_answers([line for output in outputs for line in output.splitlines()], work)
        log = log_settings(self._stack.settings, "bench")
        seconds, whole = asyncio.run(_seconds_in_log(log, [batch.id for batch in batches]))
        engine, services = spent.pop("engine"), sum(spent.values())
        more = {**watch.figures(), "seconds_from_create_to_completed": whole,
                "cpu_ms_per_request_services": services * 1e3 / len(work.lines),
                "cpu_seconds_engine": engine, **{f"cpu_seconds_{name}": it for name, it in spent.items()}}  # fmt: skip
        return Lap(self.name, work.name, len(work.lines), seconds, more)

    def _cpu_seconds(self) -> Mapping[str, float]:
        """The CPU time of each program so far. The engine's processes, children of the runner, count separately."""
        spent = {"engine": 0.0}
        for service in self._stack.stack.status().services:
            root = psutil.Process(self._stack.pid(service.name))
            below = sum(map(_cpu_seconds, root.children(recursive=True)))
            spent[service.name] = _cpu_seconds(root)
            spent["engine" if service.name == RUNNER else service.name] += below
        return spent


@contextmanager
def ours(setup: Setup) -> Iterator[Ours]:
    """This server with its model loaded: a first batch brings the model onto the device."""
    root = Path(__file__).parents[2]
    places = {
        "VBATCH_GPU_RUNNER_ENGINE_PYTHON": str(setup.engine_python),
        "VBATCH_GPU_RUNNER_PREPARE_SCRIPT": str(root / "deploy" / "engine" / "prepare_model.py"),
    }
    with stack_home(setup.models_file, places) as stack:
        if setup.at_home.package and setup.definition.folder:
            (stack.home / "models").mkdir()
            (stack.home / "models" / setup.at_home.package).symlink_to(setup.definition.folder)
        stack.stack.up()
        with stack.client() as client:
            _answered(client, warm_up(setup.definition.id))
        yield Ours(setup, stack)


def engine_socket(stack: RunningStack, setup: Setup) -> Path:
    """The socket of the one running engine; a standby process listens nowhere."""
    shop = RunnerPaths(stack.home, "gpu0", setup.engine_python, setup.engine_python)
    return max(shop.socket(0).parent.parent.glob("engine-*/engine.sock"), key=lambda path: path.stat().st_mtime)


def _answered(client: OpenAI, work: Workload) -> Batch:
    return _ended(client, _created(client, _uploaded(client, work.lines).id))


def _uploaded(client: OpenAI, lines: Sequence[bytes]) -> FileObject:
    return client.files.create(file=("in.jsonl", io.BytesIO(b"\n".join(lines))), purpose="batch")


def _created(client: OpenAI, file_id: str) -> Batch:
    return client.batches.create(input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h")


def _ended(client: OpenAI, batch: Batch) -> Batch:
    deadline = time.monotonic() + LAP_SECONDS_MAX
    while batch.status not in ENDED and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        batch = client.batches.retrieve(batch.id)
    if batch.status != "completed" or not batch.output_file_id:
        raise SystemExit(f"the batch is {batch.status}, {batch.request_counts}: nothing was measured")
    return batch


async def _seconds_in_log(log: JournalSettings, batch_ids: Sequence[str]) -> tuple[float, float]:
    """Two durations: from the first dispatch, before the first request is sent, to the last end of counting, after the
    last answer is stored; and from the first created to the last completed."""
    filters = [subjects.batch_events(BatchId(batch_id)) for batch_id in batch_ids]
    seen: dict[str, list[datetime]] = {}
    async with (
        connect(log) as journal,
        journal.log.tail(0, filters, headers_only=True) as arrivals,
    ):
        async for record in (record async for records in arrivals for record in records):
            seen.setdefault(record.subject.rpartition(".")[2], []).append(record.recorded_at)
            if len(seen.get("completed", ())) == len(batch_ids):
                return _between(seen, "dispatched", "finalizing"), _between(seen, "created", "completed")
    raise AssertionError("the log never ends")


def _between(seen: Mapping[str, Sequence[datetime]], first: str, last: str) -> float:
    return (max(seen[last]) - min(seen[first])).total_seconds()


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
