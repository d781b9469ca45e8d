import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.postgres import free_port
from vbatch.local import nats
from vbatch.local.locked import EXIT_LOCK_HELD
from vbatch.local.probes import NotYet, answers_ok

pytestmark = pytest.mark.integration

START_SECONDS_MAX = 20


@contextmanager
def running_nats(folder: Path) -> Iterator[int]:
    store, monitor_port = folder / "store", free_port()
    store.mkdir(exist_ok=True)
    config = folder / "nats.conf"
    config.write_text(nats.render(store, free_port(), monitor_port))
    child = subprocess.Popen(nats.command(config, store).argv, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(monitor_port)
        yield monitor_port
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
    assert second.returncode == EXIT_LOCK_HELD
    assert "is held by the process with pid" in second.stderr


def test_the_store_is_free_again_when_the_server_has_ended(tmp_path: Path):
    with running_nats(tmp_path):
        pass
    with running_nats(tmp_path):
        pass
