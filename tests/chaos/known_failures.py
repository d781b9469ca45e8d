"""Fourteen ways in which servers of this kind have failed, each brought about on purpose.

Run by `./taskw test:chaos`; the file's name keeps it out of the default run, where a short campaign stands for it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import Random
from urllib.parse import urlsplit

import openai
import pytest
from openai import OpenAI

from tests.chaos.faults import Fault, Means
from tests.chaos.history import History
from tests.chaos.saboteur import Saboteur
from tests.chaos.verdict import Reading, faults_of_files
from tests.chaos.workload import Kind, Promise
from tests.e2e.asking import (
    Line,
    assert_each_line_once_in_order,
    chat_line,
    ended,
    jsonl,
    submit,
    wait_for_end,
    wait_for_progress,
)
from tests.support.paths import paths_below
from tests.support.postgres import free_port
from tests.support.stack import SLOW_CHAT, RunningStack, kill, running_stack, wait_until
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId
from vbatch.journal.jetstream import connect
from vbatch.local.log_access import log_settings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

REQUESTS = 1_500
PROMPT = "number {number}"
"""Short enough to stand whole in the answer."""
LATENCY_SECONDS = 0.3
BEGUN_AT = 100
SEEN_SECONDS_MAX = 30.0
END_SECONDS_MAX = 120.0
CRASHES_IN_A_ROW = 4
RACES = 12
STANDBYS = ("scheduler", "results")
TAKEOVER_SECONDS_MAX = 3.0


@dataclass
class Scene:
    """A stack, what it was promised to do, and the means to break it."""

    stack: RunningStack
    client: OpenAI
    history: History
    saboteur: Saboteur
    promises: list[Promise] = field(default_factory=list)

    def submit(self, requests: int = REQUESTS) -> BatchId:
        given = slow_lines(requests)
        return self.promised(BatchId(submit(self.client, jsonl(given)).id), given)

    def promised(self, batch_id: BatchId, given: list[Line]) -> BatchId:
        self.promises.append(Promise(batch_id, Kind.PLAIN, given, frozenset()))
        return batch_id

    def begun(self, requests: int = REQUESTS) -> BatchId:
        """A batch in the middle of its run."""
        batch_id = self.submit(requests)
        wait_for_progress(self.client, batch_id, BEGUN_AT)
        return batch_id

    def strike(self, means: Means, *victims: str) -> None:
        """All at once; what is started again is waited for by the next look at a batch."""
        with ThreadPoolExecutor(len(victims)) as threads:
            done = list(threads.map(lambda victim: self.saboteur.do(Fault(means, victim)), victims))
        for each in done:
            if each is not None and each.ending is not None:
                each.ending.wait(END_SECONDS_MAX)

    def saw(self, kind: type[e.Event], batch_id: BatchId) -> None:
        def has_come() -> bool:
            mine = (entry.event for entry in self.history.entries if isinstance(entry.event, kind))
            return any(getattr(event, "batch_id", None) == batch_id for event in mine)

        wait_until(has_come, f"{kind.__name__} of {batch_id}", SEEN_SECONDS_MAX)

    def status(self, batch_id: BatchId) -> str:
        return wait_for_end(self.client, batch_id, END_SECONDS_MAX).status


def slow_lines(count: int) -> list[Line]:
    """Slow enough that a batch of them can be met in its middle, however slowly one looks."""
    lines = [chat_line(number, SLOW_CHAT, prompt=PROMPT) for number in range(count)]
    for line in lines:
        line["body"]["simulate"] = {"latency_seconds": LATENCY_SECONDS}
    return lines


@pytest.fixture
def scene(stack: RunningStack, client: OpenAI) -> Iterator[Scene]:
    """On leaving, every promise of the test is held to, and the log itself is read for what may not be in it."""
    with History(log_settings(stack.settings, "chaos"), stack.settings.archives_url).running() as history:
        scene = Scene(stack, client, history, Saboteur(stack, Random(1)))
        yield scene
        promised = {promise.batch_id for promise in scene.promises}
        wait_until(lambda: promised <= history.ended, "every batch has ended", END_SECONDS_MAX)
        reading = Reading().fold(history.entries)
        faults = [fault for promise in scene.promises for fault in faults_of_files(client, promise, reading)]
    assert reading.violations + faults == []


def test_a_terminal_state_is_not_overwritten(scene: Scene):
    batch_id = scene.submit(50)
    before = wait_for_end(scene.client, batch_id)
    scene.history.append(e.BatchCancelRequested(batch_id=batch_id, at=datetime.now(UTC)))
    scene.strike(Means.KILL, "results", "scheduler")
    scene.stack.wait_until_ready()

    assert scene.client.batches.retrieve(batch_id) == before


def test_a_crash_of_everybody_at_once_strands_no_job(scene: Scene):
    batch_id = scene.begun()
    scene.strike(Means.KILL, "gpu-runner", "scheduler", "results", "gateway", "nats", "postgres")

    assert scene.status(batch_id) == "completed"


@pytest.mark.parametrize("victims", [("scheduler", "results"), ("nats",), ("gpu-runner", "postgres")])
def test_a_cancel_is_neither_lost_nor_reverted(scene: Scene, victims: tuple[str, ...]):
    batch_id = scene.begun()
    scene.client.batches.cancel(batch_id)
    scene.strike(Means.KILL, *victims)

    assert scene.status(batch_id) == "cancelled"


def test_a_cancel_that_races_the_end_leaves_one_truth(scene: Scene):
    for delay in range(RACES):
        batch_id = scene.submit(60)
        time.sleep(delay * 0.03)
        with suppress(openai.ConflictError):  # it had ended first
            scene.client.batches.cancel(batch_id)

    assert {scene.status(promise.batch_id) for promise in scene.promises} <= {"cancelled", "completed"}


@pytest.mark.parametrize("service", ["scheduler", "results", "gpu-runner"])
def test_crashes_during_recovery_end_in_recovery(scene: Scene, service: str):
    batch_id = scene.begun()
    for _ in range(CRASHES_IN_A_ROW):
        before = scene.saboteur.pid(service)
        scene.strike(Means.KILL, service)
        wait_until(_is_new(scene, service, before), f"{service} is started again", SEEN_SECONDS_MAX)

    assert scene.status(batch_id) == "completed"


@pytest.mark.parametrize("service", ["scheduler", "results", "gpu-runner"])
def test_of_two_processes_only_the_newer_one_works(scene: Scene, service: str):
    """Duplicate execution, and the zombie that goes on burning inference: it wakes, is refused, ends."""
    batch_id = scene.begun()
    scene.strike(Means.RIVAL, service)

    assert scene.status(batch_id) == "completed"


def test_a_standby_continues_where_a_killed_process_stopped():
    """Both wait for the lease when they start, so that the killed one does not take it back."""
    environment = {f"VBATCH_{service.upper()}_STANDBY": "true" for service in STANDBYS}
    with running_stack(environment=environment) as stack, stack.client() as client, ExitStack() as processes:
        given = slow_lines(REQUESTS)
        batch = submit(client, jsonl(given))
        wait_for_progress(client, batch.id, BEGUN_AT)
        for service in STANDBYS:
            processes.enter_context(second_process(stack, service))
            wait_until(partial(_stands_by, stack, service), f"a second {service} waits", SEEN_SECONDS_MAX)
            before = lease_of(stack, service)
            kill(stack.process(service))
            killed_at = time.monotonic()
            wait_until(partial(_has_newer_lease, stack, service, before), "the lease is taken", SEEN_SECONDS_MAX)
            assert time.monotonic() - killed_at < TAKEOVER_SECONDS_MAX
        found = ended(client, batch.id, END_SECONDS_MAX)
        assert found.batch.status == "completed", stack.logs()
        assert_each_line_once_in_order(given, found)


def test_a_create_whose_gateway_dies_is_stored_once(scene: Scene):
    given = slow_lines(100)
    uploaded = scene.client.files.create(file=("in.jsonl", jsonl(given)), purpose="batch")
    with ThreadPoolExecutor(1) as threads:
        killed = threads.submit(scene.strike, Means.KILL, "gateway")
        made = {_create(scene.client, uploaded.id) for _ in range(3)}
        killed.result()

    assert len(made) == 1
    assert scene.promised(made.pop(), given) in scene.history.created


@pytest.mark.parametrize("victim", ["results", "postgres", "nats"])
def test_a_finalization_is_not_stranded(scene: Scene, victim: str):
    batch_id = scene.submit(300)
    scene.saw(e.BatchFinalizing, batch_id)
    scene.strike(Means.KILL, victim)

    assert scene.status(batch_id) == "completed"


def test_no_result_is_destroyed_when_the_read_model_falls_back(scene: Scene):
    """PostgreSQL forgets its last commits when it is killed; the answers in the growing file do not come twice."""
    batch_id = scene.begun()
    for _ in range(3):
        scene.strike(Means.KILL, "postgres")
        scene.stack.wait_until_ready()
    scene.strike(Means.FREEZE, "results")

    assert scene.status(batch_id) == "completed"


def test_an_upload_cut_off_leaves_no_blob(scene: Scene):
    def blobs() -> set[str]:
        root = scene.stack.home / "blobs"
        return {str(process) for process in paths_below(root) if process.is_file() and "probes" not in process.parts}

    before = blobs()
    with ThreadPoolExecutor(1) as threads:
        upload = threads.submit(_upload_slowly, scene.stack.url)
        time.sleep(0.5)
        scene.strike(Means.KILL, "gateway")
        with suppress(OSError):
            upload.result()
    scene.stack.wait_until_ready()

    assert blobs() - before == set()


@contextmanager
def second_process(stack: RunningStack, service: str) -> Iterator[None]:
    own = {f"VBATCH_{service.upper()}_PORT": str(free_port()), "VBATCH_PARENT_DEATH": "1"}
    environment = os.environ | dict(stack.environment) | stack.stack.environment(service) | own
    with (stack.home / "logs" / f"second-{service}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", f"vbatch.{service}"], env=environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _stands_by(stack: RunningStack, service: str) -> bool:
    return "standing_by" in (stack.home / "logs" / f"second-{service}.log").read_text()


def _has_newer_lease(stack: RunningStack, service: str, before: int) -> bool:
    return lease_of(stack, service) != before


def lease_of(stack: RunningStack, service: str) -> int:
    async def newest() -> int:
        async with connect(log_settings(stack.settings, "chaos")) as journal:
            record = await journal.log.last(f"evt.{service}.main.lease")
        return record.sequence if record is not None else 0

    return asyncio.run(newest())


def _is_new(scene: Scene, service: str, before: int | None) -> Callable[[], bool]:
    return lambda: scene.saboteur.pid(service) not in (None, before)


def _create(client: OpenAI, file_id: str) -> BatchId:
    made = client.batches.create(
        input_file_id=file_id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        extra_headers={"Idempotency-Key": f"once {file_id}"},
    )
    return BatchId(made.id)


def _upload_slowly(url: str) -> None:
    """A multipart upload that never comes to its end."""
    place = urlsplit(url)
    head = (
        f"POST /v1/files HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: 100000000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    )
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.sendall(head.encode())
        for _ in range(200):
            connection.sendall(b"x" * 65_536)
            time.sleep(0.01)
