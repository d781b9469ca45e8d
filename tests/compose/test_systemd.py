"""The units of deploy/systemd under a real systemd, in a container of local/images.sh: they serve, and start again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.compose.containers import files_asked_for
from tests.e2e.asking import chat_line, jsonl
from tests.support.stack import CHAT, wait_until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

IMAGE = "vbatch-local/systemd"
NAME = "vbatch-systemd"
RIGHTS = ("SYS_ADMIN", "NET_ADMIN", "SYS_NICE", "SYS_PTRACE")
"""What systemd needs of a container to give its units less."""
CGROUPS = "/sys/fs/cgroup"
COMMAND_SECONDS_MAX = 60.0
READY_SECONDS_MAX = 180.0
REQUESTS = 2_000
SERVICES = ("gateway", "scheduler", "gpu-runner", "results", "nats", "postgres")


@dataclass(frozen=True)
class Machine:
    """A container whose first process is systemd."""

    def run(self, *argv: str, given: bytes = b"", check: bool = True) -> str:
        done = docker("exec", "--interactive", NAME, *argv, given=given)
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout.decode()}{done.stderr.decode()}"
        return done.stdout.decode()

    def vbatch(self, *arguments: str) -> str:
        """The operator's command as docs/deployment.md gives it."""
        as_vbatch = ("runuser", "-u", "vbatch", "--", "env", "VBATCH_HOME=/var/lib/vbatch")
        return self.run(*as_vbatch, "/opt/vbatch/.venv/bin/vbatch", *arguments)

    def states(self) -> dict[str, str]:
        units = json.loads(self.run("systemctl", "list-units", "vbatch-*", "--all", "--output=json"))
        return {unit["unit"].removeprefix("vbatch-").removesuffix(".service"): unit["sub"] for unit in units}

    def is_serving(self) -> bool:
        ask = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:4080/ready', timeout=5)"
        return docker("exec", NAME, "python3", "-c", ask).returncode == 0

    def kill(self, service: str) -> None:
        self.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", f"vbatch-{service}")


def docker(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    argv = ["docker", *arguments]
    return subprocess.run(argv, input=given, capture_output=True, check=False, timeout=COMMAND_SECONDS_MAX)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    if not files_asked_for() or docker("image", "inspect", IMAGE).returncode != 0:
        pytest.skip(f"there is no {IMAGE}: deploy/compose/try.sh --from-debian makes it")
    rights = [part for right in RIGHTS for part in ("--cap-add", right)]
    mounts = [part for place in ("/run", "/run/lock", "/tmp") for part in ("--tmpfs", place)]
    mounts += ["-v", f"{CGROUPS}:{CGROUPS}:ro", "-v", f"{CGROUPS}/systemd:{CGROUPS}/systemd:rw"]
    unconfined = ["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"]
    started = docker("run", "--detach", "--name", NAME, *rights, *unconfined, *mounts, IMAGE)
    try:
        assert started.returncode == 0, started.stderr.decode()
        made = Machine()
        wait_until(made.is_serving, "the units serve", READY_SECONDS_MAX)
        yield made
    finally:
        docker("rm", "--force", NAME)


def test_every_unit_runs_as_nobody_else(machine: Machine):
    assert {name: machine.states()[name] for name in SERVICES} == dict.fromkeys(SERVICES, "running")
    users = {machine.run("systemctl", "show", "--value", "-p", "User", f"vbatch-{name}").strip() for name in SERVICES}
    assert users == {"vbatch"}
    assert machine.run("journalctl", "--no-pager", "-q", "-p", "warning", "-u", "vbatch-*") == ""


def test_a_batch_survives_the_kill_of_every_unit(machine: Machine):
    machine.run("tee", "/var/lib/vbatch/in.jsonl", given=jsonl(chat_line(number, CHAT) for number in range(REQUESTS)))
    machine.run("chown", "vbatch:", "/var/lib/vbatch/in.jsonl")
    machine.vbatch("submit", "/var/lib/vbatch/in.jsonl")
    for name in SERVICES:
        machine.kill(name)
    wait_until(machine.is_serving, "the units serve again", READY_SECONDS_MAX)
    wait_until(lambda: batches(machine) == [("completed", REQUESTS)], "the batch is complete", READY_SECONDS_MAX)
    machine.vbatch("rebuild", "--verify")


def batches(machine: Machine) -> list[tuple[str, int]]:
    told = json.loads(machine.vbatch("batches", "--json"))
    return [(batch["status"], batch["request_counts"]["completed"]) for batch in told["data"]]


def test_the_target_stops_and_starts_them_all(machine: Machine):
    machine.run("systemctl", "stop", "vbatch.target")
    wait_until(lambda: set(machine.states().values()) <= {"dead"}, "all units are dead", READY_SECONDS_MAX)
    assert machine.run("systemctl", "list-units", "--failed", "--output=json").strip() == "[]"
    machine.run("systemctl", "start", "vbatch.target")
    wait_until(machine.is_serving, "the units serve", READY_SECONDS_MAX)
