import json
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from tests.support.postgres import free_port
from vbatch.local import nats, survivors
from vbatch.local.commands import LocalTrouble
from vbatch.local.programs import SERVICES, Service
from vbatch.local.settings import LocalSettings
from vbatch.local.stack import ServiceStatus, Stack

pytestmark = pytest.mark.integration

STANDIN = str(Path(__file__).with_name("standin.py"))
STANDINS = tuple(
    Service(known.name, (STANDIN, known.name), known.port, 5, reads_log=known.reads_log) for known in SERVICES
)
TWO = STANDINS[:2]
NATS_URL = "nats://user:100%25,%s@127.0.0.1:1"


def ports() -> dict[str, int]:
    names = ("gateway", "scheduler", "gpu_runner", "results", "notifier", "console", "nats", "nats_monitor", "postgres")
    return {f"{name}_port": free_port() for name in names}


def light(home: Path, **changes: object) -> LocalSettings:
    """Settings of a stack without servers of its own: it starts in a moment."""
    own = {"nats_url": NATS_URL, "postgres_url": SecretStr("postgresql://elsewhere")}
    return LocalSettings.model_validate({"home": home, **ports(), **own, **changes})


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("VBATCH_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    yield folder
    Stack(light(folder), TWO).down()
    assert survivors.processes_of(folder) == []


def by_name(stack: Stack) -> dict[str, ServiceStatus]:
    return {service.name: service for service in stack.status().services}


def ready_page(port: int) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
        return json.load(answer)


@pytest.mark.timeout(180)  # initdb waits for a disk that others use too
def test_the_whole_stack_comes_up_and_goes_down_and_comes_up_again(home: Path):
    stack = Stack(LocalSettings.model_validate({"home": home, **ports()}), STANDINS)
    told: list[tuple[str, str]] = []
    stack.up(lambda name, text: told.append((name, text)))
    status = stack.status()
    assert status.is_ready
    assert [service.name for service in status.services] == [
        "nats", "postgres", "gateway", "scheduler", "gpu-runner", "results", "notifier", "console"
    ]  # fmt: skip
    # A program that answers sooner than supervisord calls it stable is still STARTING.
    assert {service.state for service in status.services} <= {"RUNNING", "STARTING"}
    assert all(service.rss_bytes > 0 for service in status.services if service.pid)
    assert [name for name, _text in told[:2]] == ["nats", "postgres"]
    assert psutil.Process(by_name(stack)["nats"].pid).environ()["GOMEMLIMIT"] == nats.MEMORY_LIMIT
    pids = [service.pid for service in status.services if service.pid] + [status.supervisor_pid]
    stack.down()
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)
    assert not stack.status().is_ready
    stack.up()
    assert stack.status().is_ready


def test_up_twice_starts_nothing_twice(home: Path):
    stack = Stack(light(home), TWO)
    stack.up()
    pids = {name: service.pid for name, service in by_name(stack).items()}
    stack.up()
    assert {name: service.pid for name, service in by_name(stack).items()} == pids


def test_down_twice_is_down_once(home: Path):
    stack = Stack(light(home), TWO)
    stack.up()
    stack.down()
    stack.down()


def test_a_service_that_is_killed_comes_back_and_is_counted(home: Path):
    stack = Stack(light(home), TWO)
    stack.up()
    first = by_name(stack)["scheduler"]
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(first.pid)] if psutil.pid_exists(first.pid) else [], timeout=5)
    stack.up()
    second = by_name(stack)["scheduler"]
    assert second.pid != first.pid
    assert (first.restarts, second.restarts) == (0, 1)


def test_everything_ends_after_supervisord_was_killed(home: Path):
    stack = Stack(light(home), TWO)
    stack.up()
    pid = stack.status().supervisor_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    stack.down()
    assert survivors.processes_of(home) == []
    stack.up()
    assert stack.status().is_ready


def test_up_repairs_a_stack_whose_supervisord_was_killed(home: Path):
    stack = Stack(light(home), TWO)
    stack.up()
    pid = stack.status().supervisor_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    stack.up()
    assert stack.status().is_ready


def test_a_service_that_is_not_ready_is_named_with_its_reason_and_its_log(home: Path):
    settings = light(home)
    Stack(settings, TWO).up()
    (home / "scheduler.unready").touch()
    stack = Stack(settings.model_copy(update={"ready_seconds_max": 0.2}), TWO)
    with pytest.raises(LocalTrouble) as refused:
        stack.up()
    assert "scheduler is not ready after 0.2 s: order: told not to be ready" in str(refused.value)
    assert "service_started" in str(refused.value)
    assert by_name(stack)["scheduler"].detail == "order: told not to be ready"


def test_a_service_that_crashes_at_its_start_shows_why(home: Path):
    home.mkdir()
    (home / "gateway.crashes").touch()
    with pytest.raises(LocalTrouble, match="RuntimeError: told to crash"):
        Stack(light(home, ready_seconds_max=12), TWO[:1]).up()


def test_a_taken_port_is_named_with_its_setting(home: Path):
    settings = light(home)
    with socket.create_server(("127.0.0.1", settings.gateway_port)):
        expected = f"port {settings.gateway_port} of gateway .* set VBATCH_GATEWAY_PORT"
        with pytest.raises(LocalTrouble, match=expected):
            Stack(settings, TWO).up()


def test_other_settings_are_not_taken_over_silently(home: Path):
    settings = light(home)
    Stack(settings, TWO).up()
    changed = settings.model_copy(update={"log_level": "debug"})
    with pytest.raises(LocalTrouble, match="other settings"):
        Stack(changed, TWO).up()


def test_one_program_is_restarted_alone(home: Path):
    stack = Stack(light(home), TWO)
    stack.up()
    before = by_name(stack)
    stack.restart("gateway")
    after = by_name(stack)
    assert after["gateway"].pid != before["gateway"].pid and after["gateway"].is_ready
    assert after["scheduler"].pid == before["scheduler"].pid


def test_servers_of_ones_own_are_left_out_and_passed_on(home: Path):
    settings = light(home)
    stack = Stack(settings, TWO)
    stack.up()
    assert set(by_name(stack)) == {"gateway", "scheduler"}
    assert ready_page(settings.gateway_port)["checks"]["order"]["detail"] == NATS_URL
    assert stack.environment("gateway")["VBATCH_NATS_URL"] == NATS_URL


def test_a_home_with_a_long_name_works(tmp_path: Path):
    home = tmp_path / " ".join(["long"] * 20)
    stack = Stack(light(home), TWO)
    try:
        stack.up()
        assert stack.status().is_ready
    finally:
        stack.down()


def test_an_unknown_program_is_refused_with_the_known_ones(home: Path):
    with pytest.raises(LocalTrouble, match="there are gateway, scheduler"):
        Stack(light(home), TWO).log_path("gatway")
