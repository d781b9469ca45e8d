"""The life of a service, watched from outside: real processes, signals and exit codes."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

pytestmark = pytest.mark.integration

FRAME = """
import asyncio, os
from vbatch.chassis.process import run_service

async def main(stop):
    print("up", flush=True)
    {body}

if __name__ == "__main__":
    run_service(main, "pump", stop_seconds_max=0.3)
"""


@contextmanager
def service(body: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-c", FRAME.format(body=body)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | env) as child:
        assert child.stdout is not None and child.stdout.readline() == b"up\n"
        try:
            yield child
        finally:
            child.kill()


def outcome(child: subprocess.Popen[bytes]) -> tuple[int, list[dict[str, object]]]:
    _out, errors = child.communicate(timeout=20)
    return child.returncode, [json.loads(line) for line in errors.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_service_well(number: signal.Signals):
    with service("await stop.wait()") as child:
        child.send_signal(number)
        code, events = outcome(child)
    assert code == 0
    assert events[-1]["event"] == "service_stopped" and events[-1]["reason"] == number.name


def test_what_was_imported_is_no_work_for_the_collector():
    with service("import gc; assert gc.get_freeze_count() > 1_000; await stop.wait()") as child:
        child.send_signal(signal.SIGTERM)
        code, _events = outcome(child)
    assert code == 0


def test_a_service_that_does_not_stop_is_ended_at_its_limit():
    with service("await asyncio.to_thread(__import__('time').sleep, 60)") as child:
        child.send_signal(signal.SIGTERM)
        code, events = outcome(child)
    assert code == 1
    assert events[-1]["event"] == "service_stop_took_too_long"


def test_an_exception_is_one_event_and_exit_code_1():
    with service("raise RuntimeError('no such pump')") as child:
        code, events = outcome(child)
    assert code == 1
    assert [event["event"] for event in events] == ["service_started", "service_failed"]
    assert "no such pump" in str(events[-1]["exception"])


def test_a_service_that_finishes_by_itself_ends_well():
    with service("return") as child:
        code, events = outcome(child)
    assert (code, events[-1]["reason"]) == (0, "finished")


def test_bad_settings_end_it_with_2_before_it_starts():
    argv = [sys.executable, "-c", FRAME.format(body="pass")]
    env = os.environ | {"VBATCH_LOG_LEVEL": "loud"}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert "log_level (VBATCH_LOG_LEVEL)" in done.stderr


def test_a_service_ends_with_its_parent_where_asked_to():
    parent = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", parent, FRAME.format(body="await stop.wait()")]
    env = os.environ | {"VBATCH_PARENT_DEATH": "1"}
    with subprocess.Popen(
        argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as killed:
        assert killed.stdout is not None
        orphan = os.pidfd_open(int(killed.stdout.readline()))
        killed.kill()
    try:
        assert has_ended(orphan)
    finally:
        os.close(orphan)


def has_ended(pidfd: int) -> bool:
    ready, _, _ = select.select([pidfd], [], [], 10)
    return bool(ready)
