"""The stack of deploy/compose in containers, by commands of Docker; VBATCH_COMPOSE_FILES names its files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from openai import OpenAI

from tests.support.stack import wait_until

FILES_VARIABLE = "VBATCH_COMPOSE_FILES"
PROJECT = "vbatch"
URL = "http://127.0.0.1:4080"
JOB_SECONDS_MAX = 60.0
COMMAND_SECONDS_MAX = 300.0
RETRIES_MAX = 8


@dataclass(frozen=True)
class Containers:
    """`files` are Compose files; `environment` holds what they ask for, beside the caller's own."""

    files: tuple[Path, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One command of Compose. Its words are in the error when it fails."""
        return _run(self._argv(*arguments), self._environment, check=check)

    def given(self, **environment: str) -> Containers:
        """The same stack, as these variables change it at the next `up`."""
        return replace(self, environment={**self.environment, **environment})

    def up(self, *services: str) -> None:
        """All of the core; or these services, with what they stand on."""
        self.compose("up", "--detach", "--wait", "--no-build", "--pull", "never", *services)

    def down(self, *, with_volumes: bool) -> None:
        self.compose("--profile", "*", "down", *(("--volumes",) if with_volumes else ()))

    def save(self, file: Path) -> None:
        """Stop everything and save what the rest follows from."""
        self.compose("stop")
        with file.open("wb") as out:
            subprocess.run(self._backup("save"), env=self._environment, stdout=out, check=True)

    def restore(self, file: Path) -> None:
        """Into volumes that must be empty."""
        with file.open("rb") as source:
            subprocess.run(self._backup("restore"), env=self._environment, stdin=source, check=True)
        # Docker removes the job's container after its end; an `up` that still sees it fails.
        wait_until(lambda: not self._jobs(), "the jobs are removed", JOB_SECONDS_MAX)

    def kill(self, service: str) -> None:
        """End its program as the kernel does when memory runs out; Docker starts it again by itself."""
        os.kill(int(self.inspect(service, "{{.State.Pid}}")), signal.SIGKILL)

    def docker_kill(self, service: str) -> None:
        """`docker kill`, which Docker takes as a wish to stop; so it is started again by hand."""
        container = self._id(service)
        _run(["docker", "kill", container])
        _run(["docker", "start", container])

    def restarts(self, service: str) -> int:
        return int(self.inspect(service, "{{.RestartCount}}"))

    def is_healthy(self, service: str) -> bool:
        return self.inspect(service, "{{.State.Health.Status}}") == "healthy"

    def image(self, name: str, template: str) -> str:
        return _run(["docker", "image", "inspect", "--format", template, name]).stdout.strip()

    def inspect(self, service: str, template: str) -> str:
        return _run(["docker", "inspect", "--format", template, self._id(service)]).stdout.strip()

    def inside(self, service: str, program: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A Python program in a container of ours."""
        return self.compose("exec", "-T", service, "python", "-c", program, check=check)

    def states(self) -> dict[str, str]:
        """What Docker says of each service that is up."""
        lines = self.compose("ps", "--format", "json").stdout.splitlines()
        return {row["Service"]: row["Status"] for row in map(json.loads, lines)}

    def client(self) -> OpenAI:
        """The official client, which goes on asking while a killed gateway is started again."""
        return OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=RETRIES_MAX, _strict_response_validation=True)

    @property
    def _environment(self) -> dict[str, str]:
        return os.environ | dict(self.environment)

    def _argv(self, *arguments: str) -> list[str]:
        files = [part for file in self.files for part in ("-f", str(file))]
        return [str(Path(sys.executable).parent / "docker-compose"), *files, *arguments]

    def _backup(self, verb: str) -> list[str]:
        return self._argv("run", "--rm", "-T", "--pull", "never", "backup", verb)

    def _jobs(self) -> str:
        return _run(["docker", "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.oneoff=True"]).stdout

    def _id(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service).stdout.strip()


def files_asked_for() -> tuple[Path, ...]:
    """The files of VBATCH_COMPOSE_FILES; none where it is not set."""
    return tuple(Path(name) for name in os.environ.get(FILES_VARIABLE, "").split(":") if name)


def _run(
    argv: Iterable[str], environment: Mapping[str, str] | None = None, *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        list(argv),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS_MAX,
    )
    assert done.returncode == 0 or not check, f"{done.args}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done
