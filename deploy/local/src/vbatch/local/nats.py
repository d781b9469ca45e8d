"""The local nats-server: its configuration and the command that runs it in the foreground."""

import json
import os
import shutil
import sys
import sysconfig
from pathlib import Path

from vbatch.local.commands import Command, LocalTrouble

HOST = "127.0.0.1"
PORT = 4322
MONITOR_PORT = 4328
STORE_SHARE_OF_DISK = 0.7  # a full disk stops the log without an error; its own limit reports one
MEMORY_STORE_BYTES = 512 * 1024 * 1024
MEMORY_VARIABLE, MEMORY_LIMIT = "GOMEMLIMIT", "384MiB"
"""Above this limit the server collects garbage more often (runtime/debug.SetMemoryLimit). It is not a hard limit."""

TEMPLATE = """\
server_name: vbatch
listen: "{host}:{port}"
http: "{host}:{monitor_port}"
# Chunks of outcomes are at most 512 KB; an oversized event, headers included, costs a client its connection.
max_payload: 4MB
max_pending: 256MB
write_deadline: "30s"
lame_duck_duration: "30s"
jetstream {{
  store_dir: {store_dir}
  # Acknowledged means on disk: the server's own default is up to two minutes later.
  sync_interval: always
  max_file_store: {file_store_bytes}
  max_memory_store: {memory_store_bytes}
}}
"""


SIDE_STREAMS_PART = 8  # WORK and DEAD together, in addition to EVT


def log_bytes_max(store_dir: Path, wanted: int) -> int:
    """Return the maximum size of the log: the wanted one, or what a small disk allows beside the other streams."""
    return min(wanted, _file_store_bytes(store_dir) * SIDE_STREAMS_PART // (SIDE_STREAMS_PART + 2))


def render(store_dir: Path, port: int = PORT, monitor_port: int = MONITOR_PORT, *, host: str = HOST) -> str:
    """Return the configuration file. The size of the store follows the disk that holds it."""
    return TEMPLATE.format(
        host=host,
        port=port,
        monitor_port=monitor_port,
        store_dir=json.dumps(str(store_dir)),
        file_store_bytes=_file_store_bytes(store_dir),
        memory_store_bytes=MEMORY_STORE_BYTES,
    )


def command(config: Path, store_dir: Path, monitor_port: int = MONITOR_PORT) -> Command:
    """Return the command that runs the server with a lock on its store: nothing else prevents two on one store."""
    owning = (sys.executable, "-m", "vbatch.local.log_server", str(store_dir), health_url(monitor_port))
    memory = {MEMORY_VARIABLE: os.environ.get(MEMORY_VARIABLE, MEMORY_LIMIT)}
    return Command((*owning, _binary(), "-c", str(config)), memory, None)


def health_url(monitor_port: int) -> str:
    return f"http://{HOST}:{monitor_port}/healthz"


def _file_store_bytes(store_dir: Path) -> int:
    there = next(path for path in (store_dir, *store_dir.parents) if path.exists())
    return int(shutil.disk_usage(there).total * STORE_SHARE_OF_DISK)


def _binary() -> str:
    beside_python = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside_python) if beside_python.exists() else shutil.which("nats-server")
    if found is None:
        raise LocalTrouble("no nats-server here: install it or set VBATCH_NATS_URL to your own")
    return found
