"""The conformance tier has one real stack for all clients, whose model serves every endpoint a batch may name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import RunningStack, running_stack, stack
from vbatch.contracts.endpoints import BATCH_ENDPOINTS

__all__ = ["stack"]

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


@pytest.fixture(scope="session")
def _session_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    models: Path = tmp_path_factory.mktemp("conformance") / "models.toml"
    models.write_text(MODELS.format(endpoints=", ".join(f'"{endpoint}"' for endpoint in BATCH_ENDPOINTS)))
    with running_stack(models) as running:
        yield running
