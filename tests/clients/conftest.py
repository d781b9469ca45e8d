"""One real stack for all of these clients, on the simulated engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.conftest import write_models
from tests.support.stack import RunningStack, running_stack

PATIENT = {"VBATCH_LOCAL_READY_SECONDS_MAX": "180"}


@pytest.fixture(scope="session")
def clients_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(write_models(tmp_path_factory.mktemp("clients") / "models.toml"), PATIENT) as running:
        yield running
