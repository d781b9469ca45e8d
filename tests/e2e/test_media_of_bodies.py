"""What vLLM itself does with media URLs under the arguments that the runner starts it with: nobody is asked."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
import json, sys
from vllm.engine.arg_utils import EngineArgs
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.multimodal.media.connector import MediaConnector
def said(url, words):
    args = EngineArgs.add_cli_args(FlexibleArgumentParser()).parse_args(words)
    connector = MediaConnector(
        allowed_local_media_path=args.allowed_local_media_path or "", allowed_media_domains=args.allowed_media_domains
    )
    try:
        connector.fetch_image(url)
        return "fetched"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
sys.stdout.write("\\n" + json.dumps([said(*case) for case in json.load(sys.stdin)]))
"""
NO_ARGUMENTS: dict[str, ArgumentValue] = {}


@dataclass(frozen=True, slots=True)
class Fetches:
    """What vLLM said of each URL, and whether the two at our own listeners were asked for."""

    of_a_url: str
    of_a_file: str
    of_a_named_host: str
    is_url_asked: bool
    is_named_host_asked: bool


@pytest.fixture(scope="module")
def fetches() -> Fetches:
    """All in one process, because the import of vLLM takes longer than everything else."""
    with listener() as stranger, listener() as named:
        of_a_url, of_a_file, of_a_named_host = fetched(
            (address(stranger), NO_ARGUMENTS),
            (f"file://{ROOT}/docs/img/x.png", {"allowed-local-media-path": "/"}),
            (address(named), {"allowed-media-domains": "127.0.0.1"}),
        )
        return Fetches(
            of_a_url=of_a_url,
            of_a_file=of_a_file,
            of_a_named_host=of_a_named_host,
            is_url_asked=was_asked(stranger),
            is_named_host_asked=was_asked(named),
        )


@contextmanager
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


def fetched(*cases: tuple[str, dict[str, ArgumentValue]]) -> list[str]:
    """What vLLM says of each URL, started as the runner would start it for a model with these arguments."""
    if not ENGINE_PYTHON.exists():
        pytest.skip(f"{ENGINE_PYTHON} has no engine: ./taskw setup:engine")
    commands = [command_for(arguments) for _, arguments in cases]
    words = [(url, media_words(command)) for (url, _), command in zip(cases, commands, strict=True)]
    done = subprocess.run(
        [str(ENGINE_PYTHON), "-c", FETCH],
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "VLLM_IMAGE_FETCH_TIMEOUT": "1"}
        | dict(commands[0].environment),
        input=json.dumps(words),
        capture_output=True,
        text=True,
        timeout=ENGINE_SECONDS_MAX,
        check=True,
    )
    said: list[str] = json.loads(done.stdout.splitlines()[-1])
    return said


def command_for(arguments: dict[str, ArgumentValue]) -> EngineCommand:
    model = ModelDefinition(id=ModelId("m"), package="p", arguments=arguments)
    places = Places(str(ENGINE_PYTHON), "own-python", "/run/engine.sock", "/models/m")
    return engine_command(model, Device(DeviceKind.CPU, "cpu", 1 << 34), places)


def media_words(command: EngineCommand) -> tuple[str, ...]:
    at = command.arguments.index("--allowed-media-domains")
    return command.arguments[at:]


def test_a_url_in_a_body_is_not_fetched(fetches: Fetches):
    assert "must be from one of the allowed domains" in fetches.of_a_url
    assert not fetches.is_url_asked


def test_a_file_of_this_machine_is_not_read(fetches: Fetches):
    assert "allowed-local-media-path" in fetches.of_a_file


def test_a_host_that_the_model_names_is_asked(fetches: Fetches):
    """So that the silence above means something."""
    assert fetches.is_named_host_asked, fetches.of_a_named_host
