"""The conformance tier has one real stack for all clients, whose model serves every endpoint a batch may name.

With VBATCH_CONFORMANCE_URL it asks the server there instead, which must have the models of MODELS.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.stack import running_stack
from vbatch.contracts.endpoints import BATCH_ENDPOINTS

URL_VARIABLE = "VBATCH_CONFORMANCE_URL"

MODELS = """\
[[model]]
id = "simulated-chat"
engine = "simulated"
endpoints = [{endpoints}]

[[model]]
id = "org/model:v1"
engine = "simulated"
endpoints = ["/v1/chat/completions"]

[[model]]
id = "simulated-slow"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
arguments = {{ latency-seconds = 0.05 }}
"""


class Server(Protocol):
    """What the clients of this tier ask."""

    @property
    def url(self) -> str: ...

    def wait_until_ready(self) -> None: ...


@dataclass(frozen=True)
class ServerElsewhere:
    """One that somebody else started and looks after."""

    url: str

    def wait_until_ready(self) -> None:
        """It is."""


def write_models(path: Path) -> Path:
    """The models that the cases of this tier name."""
    path.write_text(MODELS.format(endpoints=", ".join(f'"{endpoint}"' for endpoint in BATCH_ENDPOINTS)))
    return path


@pytest.fixture(scope="session")
def _session_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if url := os.environ.get(URL_VARIABLE):
        yield ServerElsewhere(url)
        return
    with running_stack(write_models(tmp_path_factory.mktemp("conformance") / "models.toml")) as running:
        yield running


@pytest.fixture
def stack(_session_stack: Server) -> Server:
    """The server that all tests of the session share, whole at the start of each."""
    _session_stack.wait_until_ready()
    return _session_stack
