"""Other people's clients of the OpenAI API, each in an environment of its own, against one real stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
REQUIREMENTS: Mapping[str, Sequence[str]] = tomllib.loads((HERE / "requirements.toml").read_text())
CASES = {"chat", "stream", "tool_call", "json_schema"}
INSTALL_SECONDS_MAX = 300.0
RUN_SECONDS_MAX = 120.0
WITHOUT_TELEMETRY = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "DO_NOT_TRACK": "1", "LANGSMITH_TRACING": "false"}
"""Nothing but the stack is asked."""


@pytest.mark.parametrize("client", REQUIREMENTS)
def test_a_python_client_gets_what_it_expects(clients_stack: RunningStack, client: str):
    python = python_with(client)
    must_do_all(run([str(python), "-m", f"tests.clients.python.with_{client}", f"{clients_stack.url}/v1"], ROOT))


def test_the_vercel_ai_sdk_gets_what_it_expects(clients_stack: RunningStack):
    folder = node_folder()
    must_do_all(run(["node", "cases.mjs", f"{clients_stack.url}/v1"], folder))


def must_do_all(done: subprocess.CompletedProcess[str]) -> None:
    told = {each["case"]: each["fault"] for each in map(json.loads, done.stdout.splitlines())}
    faults = {case: fault for case, fault in told.items() if fault}
    assert done.returncode == 0, done.stderr
    assert not faults, "\n".join(f"{case}:\n{fault}" for case, fault in faults.items())
    assert set(told) >= CASES


def python_with(client: str) -> Path:
    """A Python with the client, made again when the versions change."""
    folder = ROOT / ".tools" / "clients" / client
    python, wanted = folder / "bin" / "python", "\n".join(REQUIREMENTS[client])
    if not is_installed(folder, wanted):
        uv = needed("uv")
        install([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], ROOT)
        install([uv, "pip", "install", "--quiet", "--python", str(python), *REQUIREMENTS[client]], ROOT)
        (folder / "installed").write_text(wanted)
    return python


def node_folder() -> Path:
    """A folder with the SDK and the cases."""
    folder, given = ROOT / ".tools" / "clients" / "vercel_ai", HERE / "vercel_ai"
    needed("node")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "cases.mjs"):
        shutil.copy(given / name, folder / name)
    wanted = (given / "package.json").read_text()
    if not is_installed(folder, wanted):
        install([needed("npm"), "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"], folder)
        (folder / "installed").write_text(wanted)
    return folder


def is_installed(folder: Path, wanted: str) -> bool:
    mark = folder / "installed"
    return mark.exists() and mark.read_text() == wanted


def needed(command: str) -> str:
    found = shutil.which(command)
    if found is None:
        pytest.fail(f"{command} is needed to install and run the clients")
    return found


def install(argv: Sequence[str], folder: Path) -> None:
    subprocess.run(argv, cwd=folder, check=True, timeout=INSTALL_SECONDS_MAX)


def run(argv: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | WITHOUT_TELEMETRY
    return subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=RUN_SECONDS_MAX
    )
