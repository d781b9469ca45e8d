import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.postgres import free_port
from vbatch.local import log_server, nats, store_owner
from vbatch.local.log_server import EXIT_STORE_TAKEN
from vbatch.local.probes import NotYet, answers_ok

pytestmark = pytest.mark.integration

START_SECONDS_MAX = 20


@contextmanager
def running_nats(folder: Path) -> Iterator[int]:
    store, monitor_port = folder / "store", free_port()
    store.mkdir(exist_ok=True)
    config = folder / "nats.conf"
    config.write_text(nats.render(store, free_port(), monitor_port))
    child = subprocess.Popen(nats.command(config, store, monitor_port).argv, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(monitor_port)
        yield monitor_port
    finally:
        child.terminate()
        child.wait(10)


@contextmanager
def nats_without_lock(config: Path, monitor_port: int) -> Iterator[int]:
    """As somebody would start it by hand."""
    binary = nats.command(config, config.parent).argv[-3]
    child = subprocess.Popen([binary, "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(monitor_port)
        yield child.pid
    finally:
        child.terminate()
        child.wait(10)


def wait_until_ready(monitor_port: int) -> None:
    look = answers_ok(f"http://127.0.0.1:{monitor_port}/healthz")
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            look()
        except NotYet:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def test_the_server_takes_its_configuration(tmp_path: Path):
    with running_nats(tmp_path) as port:
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/varz", timeout=5).read().decode()
    assert '"max_payload": 4194304' in page
    assert '"sync_always": true' in page


def test_a_second_server_on_the_same_store_is_refused_with_the_pid_of_the_first(tmp_path: Path):
    with running_nats(tmp_path):
        argv = nats.command(tmp_path / "nats.conf", tmp_path / "store").argv
        second = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == EXIT_STORE_TAKEN
    assert "is held by the process with pid" in second.stderr
    assert "vbatch down" in second.stderr


def test_the_store_is_free_again_when_the_server_has_ended(tmp_path: Path):
    with running_nats(tmp_path):
        pass
    with running_nats(tmp_path):
        pass


def test_a_server_that_was_started_without_our_lock_is_found_and_named(tmp_path: Path):
    store, other = tmp_path / "store", tmp_path / "other.conf"
    store.mkdir()
    port = free_port()
    other.write_text(nats.render(store, free_port(), port))
    with nats_without_lock(other, port) as pid, pytest.raises(log_server.StoreTaken, match=f"pid {pid}.*vbatch down"):
        store_owner.check_free(store)
    store_owner.check_free(store)


def test_a_store_whose_owner_was_killed_is_free(tmp_path: Path):
    with running_nats(tmp_path):
        holder = int((tmp_path / "store" / log_server.LOCK_NAME).read_text())
        os.kill(holder, signal.SIGKILL)
    store_owner.check_free(tmp_path / "store")
    with running_nats(tmp_path):
        pass
