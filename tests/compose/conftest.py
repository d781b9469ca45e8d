"""This tier runs where VBATCH_COMPOSE_FILES is set: the stack in containers, up for the session and gone after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.compose.containers import FILES_VARIABLE, Containers, files_asked_for
from tests.conformance.conftest import write_models

UNHURRIED = "simulated-unhurried"
UNHURRIED_MODEL = f"""
[[model]]
id = "{UNHURRIED}"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
arguments = {{ latency-seconds = 1.0 }}
"""
"""So slow that every container can be killed before a batch of some thousands ends."""


@pytest.fixture(scope="session")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """The core and what of monitoring has an image, ready, on simulated models."""
    files = files_asked_for()
    if not files:
        pytest.skip(f"{FILES_VARIABLE} names no Compose files: deploy/compose/try.sh sets it")
    folder = tmp_path_factory.mktemp("compose")
    folder.parent.chmod(0o755)
    folder.chmod(0o755)  # containers read the model file as a user of their own
    models = write_models(folder / "models.toml")
    with models.open("a") as file:
        file.write(UNHURRIED_MODEL)
    made = Containers(files, {"VBATCH_MODELS": str(models)})
    try:
        made.up()
        yield made
    finally:
        made.down(with_volumes=True)


@pytest.fixture
def client(containers: Containers) -> Iterator[OpenAI]:
    with containers.client() as made:
        yield made
