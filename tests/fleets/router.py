"""A real vllm-router, in the environment that `./taskw test:fleets` installs."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.postgres import free_port
from tests.support.stack import wait_until

PROGRAM = ROOT / ".tools" / "vllm-router" / "bin" / "vllm-router"
START_SECONDS_MAX, STOP_SECONDS_MAX = 180.0, 30.0


@contextmanager
def vllm_router(workers: Sequence[str], folder: Path) -> Iterator[str]:
    """Run the router before these servers; yields its URL once it is healthy. Its log is in the folder."""
    port = free_port()
    argv = [str(PROGRAM), "--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(free_port())]
    argv += ["--policy", "round_robin", "--worker-urls", *workers]
    with (folder / "router.log").open("w") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: is_healthy(url), "the router answers", START_SECONDS_MAX)
        yield url
    finally:
        process.terminate()
        process.wait(STOP_SECONDS_MAX)


def is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5.0) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
