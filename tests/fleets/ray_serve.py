"""A Ray cluster of one node on loopback, with the application of docs/fleets.md on it; stopped by the ids of its
processes."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.paths import ROOT
from tests.support.postgres import free_port
from tests.support.stack import wait_until

BIN = ROOT / ".tools" / "ray-serve" / "bin"
APPLICATION = ROOT / "deploy" / "fleets"
HOST = "127.0.0.2"
"""Ray replaces 127.0.0.1 by an address of the machine that others reach; it keeps this one."""
OBJECT_STORE_BYTES = 80_000_000
START_SECONDS_MAX, COMMAND_SECONDS_MAX, END_SECONDS_MAX = 180.0, 120.0, 30.0
REPLICA = "ray::ServeReplica"
CONFIGURATION = """\
http_options: {{host: 127.0.0.1, port: {port}}}
applications:
- name: engines
  import_path: ray_engines:application
  args: {{command: "{command}"}}
  deployments:
  - {{name: Engine, num_replicas: {replicas}, max_ongoing_requests: {inside_max}, ray_actor_options: {{num_cpus: 0}}}}
"""


@dataclass
class RayServe:
    """`start` starts the head, `deploy` sets the number of replicas. After `kill` it starts again on the same ports."""

    folder: Path
    port: int = field(default_factory=free_port)
    _gcs_port: int = field(default_factory=free_port)
    _dashboard_port: int = field(default_factory=free_port)
    _head: psutil.Popen | None = None
    _starts: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        ports = [f"--{name}={free_port()}" for name in ("ray-client-server-port", "dashboard-agent-listen-port")]
        argv = [str(BIN / "ray"), "start", "--head", "--block", f"--node-ip-address={HOST}", f"--port={self._gcs_port}"]
        argv += ["--num-cpus=1", f"--object-store-memory={OBJECT_STORE_BYTES}", "--disable-usage-stats", *ports]
        argv += ["--min-worker-port=0", "--max-worker-port=0"]  # any free ports
        argv += [f"--dashboard-host={HOST}", f"--dashboard-port={self._dashboard_port}"]
        self._starts += 1
        argv += [f"--temp-dir={self.folder / str(self._starts)}"]
        with self._log.open("w") as log:
            self._head = psutil.Popen(argv, stdout=log, stderr=log, env=self._environment)
        wait_until(self._is_serving, "the head of Ray answers", START_SECONDS_MAX)

    def deploy(self, replicas: int, command: str, inside_max: int) -> None:
        """Set the number of replicas; those that stay are not restarted."""
        path = self.folder / "serve.yaml"
        path.write_text(CONFIGURATION.format(port=self.port, command=command, replicas=replicas, inside_max=inside_max))
        argv = [str(BIN / "serve"), "deploy", str(path), "-a", f"http://{HOST}:{self._dashboard_port}"]
        done = subprocess.run(
            argv, env=self._environment, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def is_answering(self) -> bool:
        """Whether a replica answers: Ray itself knows no such path."""
        try:
            with urllib.request.urlopen(f"{self.url}/models", timeout=5.0) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def replicas(self) -> list[psutil.Process]:
        assert self._head is not None
        return [process for process in self._head.children(recursive=True) if _title(process).startswith(REPLICA)]

    def kill(self) -> None:
        """Kill the head with all that it has started, as a power cut does."""
        if self._head is None:
            return
        processes = [self._head, *self._head.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _, alive = psutil.wait_procs(processes, END_SECONDS_MAX)
        assert not alive, f"still running: {alive}"
        self._head = None

    @property
    def _log(self) -> Path:
        return self.folder / f"head-{self._starts}.log"

    def _is_serving(self) -> bool:
        assert self._head is not None and self._head.poll() is None, self._log.read_text()
        return "Ray runtime started" in self._log.read_text()

    @property
    def _environment(self) -> dict[str, str]:
        token = self.folder / "token"
        if not token.exists():
            token.write_text(secrets.token_hex(32))
        own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "PYTHONPATH": str(APPLICATION)}
        return os.environ | own | {"VBATCH_PARENT_DEATH": "1", "TMPDIR": str(self.folder)}


@contextmanager
def ray_serve() -> Iterator[RayServe]:
    """A cluster in a folder with a short name: Ray puts sockets there. Nothing of it is left at the end."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    ray = RayServe(folder)
    try:
        ray.start()
        yield ray
    finally:
        ray.kill()
        shutil.rmtree(folder, ignore_errors=True)


def simulated(work_log: Path, latency_seconds: float, max_num_seqs: int) -> str:
    """The command of an engine for each replica; all of them note their work in one file."""
    argv = [str(ROOT / ".venv" / "bin" / "python"), "-m", "vbatch.gpu_runner.simulated", "--model", "fleet"]
    argv += ["--latency-seconds", str(latency_seconds), "--max-num-seqs", str(max_num_seqs)]
    return shlex.join([*argv, "--work-log", str(work_log)])


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
