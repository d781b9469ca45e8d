"""The official client in three generations, each strict about every answer, against one real stack."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.conformance.conftest import Server
from tests.support.paths import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

GENERATIONS = ("1.109.1", "2.54.0", "3.57.0")
INSTALL_SECONDS_MAX = 90.0
RUN_SECONDS_MAX = 280.0
ANSWERED = re.compile(r'^vbatch_http_requests_total\{method="(\w+)",route="([^"]+)"', re.MULTILINE)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_generation_of_the_official_client_gets_what_it_expects(stack: Server, generation: str, tmp_path: Path):
    argv = [str(client_python(generation)), "-m", "tests.conformance.cases", stack.url, str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=RUN_SECONDS_MAX)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    faults = {each["case"]: each["fault"] for each in told if each["fault"]}

    assert done.returncode == 0, done.stderr
    assert told and not faults, "\n".join(f"{case}:\n{fault}" for case, fault in faults.items())


def test_the_generations_asked_for_every_route_there_is(stack: Server):
    """Runs behind them, on the counters of the same gateway."""
    uv()
    with urlopen(f"{stack.url}/openapi.json") as answer:
        paths = json.load(answer)["paths"]
    # A key would shut out every other test, so nothing is asked of administrators' routes.
    there_are = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods if is_asked(path)}
    with urlopen(f"{stack.url}/metrics") as answer:
        told = answer.read().decode()
    answered = {f"{method} {route.replace(':path', '')}" for method, route in ANSWERED.findall(told)}

    assert not there_are - answered, "\n".join(sorted(there_are - answered))


def is_asked(path: str) -> bool:
    return path.startswith("/v1/") and not path.startswith("/v1/admin/")


def client_python(generation: str) -> Path:
    """A Python with this client, made once below .tools and kept there."""
    folder = ROOT / ".tools" / f"openai-{generation}"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        _run([uv(), "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        _run([uv(), "pip", "install", "--quiet", "--python", str(python), f"openai=={generation}"])
        (folder / "installed").touch()
    return python


def uv() -> str:
    found = shutil.which("uv")
    if found is None:
        pytest.skip("uv is not there to install the clients with")
    return found


def _run(argv: list[str]) -> None:
    subprocess.run(argv, check=True, timeout=INSTALL_SECONDS_MAX)
