"""The registry and the examples that ship with the product hold together."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = {"package", "hub", "folder", "base_url"}


def models() -> dict[str, dict[str, Any]]:
    entries = tomllib.loads((ROOT / "models.toml").read_text())["model"]
    assert len({entry["id"] for entry in entries}) == len(entries)
    return {entry["id"]: entry for entry in entries}


@pytest.mark.parametrize("entry", models().values(), ids=lambda entry: entry["id"])
def test_a_model_has_one_source_unless_it_is_simulated(entry: dict[str, Any]) -> None:
    assert len(SOURCES & entry.keys()) == (0 if entry["engine"] == "simulated" else 1)


@pytest.mark.parametrize("name", ["capitals.jsonl", "sentences.jsonl"])
def test_an_example_asks_shipped_models_at_endpoints_they_answer(name: str) -> None:
    requests = [json.loads(line) for line in (ROOT / "examples" / name).read_text().splitlines()]
    assert len({request["custom_id"] for request in requests}) == len(requests) >= 24
    assert all(request["method"] == "POST" for request in requests)
    assert all(request["url"] in models()[request["body"]["model"]]["endpoints"] for request in requests)


@pytest.mark.parametrize("name", ["requirements-cpu.lock", "requirements-gpu.lock"])
def test_the_engines_lock_files_are_hashed_and_name_no_address(name: str) -> None:
    text = (ROOT / "deploy/engine" / name).read_text()
    pins = [line for line in text.splitlines() if line[:1].isalnum()]
    assert pins and all(line.endswith("\\") for line in pins)
    assert "://" not in text
