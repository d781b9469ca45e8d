"""A real S3 server for tests: SeaweedFS on free ports, in a folder that outlives a kill.

`./taskw test:s3` installs it; it is no dependency of the other tests.
"""

from __future__ import annotations

import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore import exceptions
from obstore.store import S3Store

from tests.support.postgres import free_port
from tests.support.stack import wait_until

if TYPE_CHECKING:
    from obstore.store import RetryConfig, S3Config

KEY, SECRET = "vbatch-test", "not-a-secret"
REGION = "us-east-1"
SERVERS = ("master", "volume", "filer", "s3")
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0
VOLUME_MEGABYTES = 64
VOLUMES_MAX = 100
"""Each bucket takes some for itself."""


@dataclass
class ObjectStore:
    """`start` after `kill` opens the same objects at the same address."""

    folder: Path
    ports: dict[str, int]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3']}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client finds it by, under the names that every S3 tool knows."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def start(self) -> None:
        """Return when it stores objects."""
        ports = [f"-{name}.port={self.ports[name]}" for name in SERVERS]
        ports += [f"-{name}.port.grpc={self.ports[name + '.grpc']}" for name in SERVERS]
        argv = [
            str(Path(sysconfig.get_path("scripts")) / "weed"),
            "server",
            f"-dir={self.folder}",
            "-ip=127.0.0.1",
            "-filer",
            "-s3",
            "-s3.port.iceberg=0",
            "-master.telemetry=false",
            f"-master.volumeSizeLimitMB={VOLUME_MEGABYTES}",
            f"-volume.max={VOLUMES_MAX}",
            *ports,
        ]
        with (self.folder / "weed.log").open("ab") as log:
            self.process = subprocess.Popen(argv, env=self.environment, stdout=log, stderr=log)
        wait_until(self._stores, "the object store stores", START_SECONDS_MAX)

    def make_bucket(self, name: str) -> None:
        """The server makes a bucket with its first object."""
        obstore.put(self._bucket(name), "probe", b"")

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(STOP_SECONDS_MAX)
            self.process = None

    def _stores(self) -> bool:
        """Whether an object can be put: the server answers long before that after a kill."""
        assert self.process is not None and self.process.poll() is None, (self.folder / "weed.log").read_text()[-2000:]
        try:
            self.make_bucket("ready")
        except (exceptions.BaseError, OSError):
            return False
        return True

    def _bucket(self, name: str) -> S3Store:
        once: RetryConfig = {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}
        where: S3Config = {"endpoint": self.url, "region": REGION, "access_key_id": KEY, "secret_access_key": SECRET}
        return S3Store(name, config=where, client_options={"allow_http": True}, retry_config=once)


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """A store that runs; on leaving it is stopped, whatever was done to it."""
    folder.mkdir(parents=True, exist_ok=True)
    ports = {name: free_port() for server in SERVERS for name in (server, f"{server}.grpc")}
    store = ObjectStore(folder, ports)
    try:
        store.start()
        yield store
    finally:
        store.kill()
