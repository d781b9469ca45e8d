"""The quickstart script as a user runs it, with today's official client and with the oldest generation still in use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.asking import chat_line, jsonl
from tests.support.paths import ROOT
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

OLD_CLIENT = "openai==1.109.1"
INSTALL_SECONDS_MAX = 90.0
RUN_SECONDS_MAX = 60.0
ASKED = 20


@pytest.fixture(scope="module")
def old_client_python() -> Path:
    """A Python with the old client, made once below .tools and kept there."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not there to install the old client with")
    folder = ROOT / ".tools" / "openai-1"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", str(python), OLD_CLIENT])
        (folder / "installed").touch()
    return python


def test_the_quickstart_answers_every_request(stack: RunningStack, tmp_path: Path):
    assert_answers(sys.executable, stack, tmp_path)


def test_the_quickstart_works_with_the_first_generation_of_the_client(
    stack: RunningStack, tmp_path: Path, old_client_python: Path
):
    assert_answers(str(old_client_python), stack, tmp_path)


def assert_answers(python: str, stack: RunningStack, folder: Path) -> None:
    path = folder / "in.jsonl"
    path.write_bytes(jsonl(chat_line(number) for number in range(ASKED)))
    done = subprocess.run(
        [python, str(ROOT / "examples" / "quickstart.py"), str(path)],
        env=os.environ | {"OPENAI_BASE_URL": f"{stack.url}/v1", "OPENAI_API_KEY": "none"},
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line)["custom_id"] for line in done.stdout.splitlines()]
    assert found == [f"request-{number}" for number in range(ASKED)]


def _run(argv: list[str]) -> None:
    subprocess.run(argv, check=True, timeout=INSTALL_SECONDS_MAX)
