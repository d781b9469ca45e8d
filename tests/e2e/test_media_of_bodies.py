"""What vLLM itself does with media URLs under the arguments that the runner starts it with: nobody is asked."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import ArgumentValue, ModelDefinition
from vbatch.gpu_runner.core.command import Device, DeviceKind, EngineCommand, Places, engine_command

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]

ENGINE_PYTHON = Path(os.environ.get("VBATCH_GPU_RUNNER_ENGINE_PYTHON", ROOT / ".engine" / "bin" / "python"))
ENGINE_SECONDS_MAX = 240.0
FETCH = """
import sys
from vllm.engine.arg_utils import EngineArgs
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.multimodal.media.connector import MediaConnector
url, *words = sys.argv[1:]
args = EngineArgs.add_cli_args(FlexibleArgumentParser()).parse_args(words)
connector = MediaConnector(
    allowed_local_media_path=args.allowed_local_media_path or "", allowed_media_domains=args.allowed_media_domains
)
try:
    connector.fetch_image(url)
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """On loopback; whoever fetches from it is heard."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def address(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}/picture.png"


def was_asked(listener: socket.socket) -> bool:
    """A connection that was opened waits to be accepted, whatever became of it."""
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def fetched(url: str, arguments: dict[str, ArgumentValue]) -> str:
    """What vLLM says of the URL, started as the runner would start it for a model with these arguments."""
    if not ENGINE_PYTHON.exists():
        pytest.skip(f"{ENGINE_PYTHON} has no engine: ./taskw setup:engine")
    model = ModelDefinition(id=ModelId("m"), package="p", arguments=arguments)
    places = Places(str(ENGINE_PYTHON), "own-python", "/run/engine.sock", "/models/m")
    command = engine_command(model, Device(DeviceKind.CPU, "cpu", 1 << 34), places)
    done = subprocess.run(
        [str(ENGINE_PYTHON), "-c", FETCH, url, *media_words(command)],
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "VLLM_IMAGE_FETCH_TIMEOUT": "5"}
        | dict(command.environment),
        capture_output=True,
        text=True,
        timeout=ENGINE_SECONDS_MAX,
        check=True,
    )
    return done.stdout


def media_words(command: EngineCommand) -> tuple[str, ...]:
    at = command.arguments.index("--allowed-media-domains")
    return command.arguments[at:]


def test_a_url_in_a_body_is_not_fetched(listener: socket.socket):
    assert "must be from one of the allowed domains" in fetched(address(listener), {})
    assert not was_asked(listener)


def test_a_file_of_this_machine_is_not_read():
    assert "allowed-local-media-path" in fetched(f"file://{ROOT}/docs/img/x.png", {"allowed-local-media-path": "/"})


def test_a_host_that_the_model_names_is_asked(listener: socket.socket):
    """So that the silence above means something."""
    fetched(address(listener), {"allowed-media-domains": "127.0.0.1"})
    assert was_asked(listener)
