"""What is exported is what trainers read: Hugging Face `datasets` loads it unchanged, and TRL trains on it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.integration.gateway.stage import Stage
from tests.integration.gateway.varied import judged_batches
from tests.support.paths import ROOT
from vbatch.cli.main import app

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PYTHON = ROOT / ".tools" / "trainers" / "bin" / "python"
READING = ROOT / "tests" / "trainers" / "reading.py"
READ_SECONDS_MAX = 500.0
TRL_FORMATS = ("trl-sft", "trl-dpo", "trl-kto")
EXPORTS = (
    *((export_format, "jsonl") for export_format in (*TRL_FORMATS, "openai-chat", "openai-preference")),
    *(("raw", "jsonl"), ("sharegpt", "jsonl"), ("alpaca", "jsonl")),
    *(("trl-sft", "parquet"), ("trl-dpo", "hf"), ("raw", "parquet")),
)


async def exported(stage: Stage, folder: Path) -> None:
    """Each export, at `FORMAT.CONTAINER` of the folder."""
    batch_ids = await judged_batches(stage)
    await vbatch(stage, "dataset", "create", "support", *batch_ids, "--test", "0")
    for export_format, container in EXPORTS:
        path = str(folder / f"{export_format}.{container}")
        await vbatch(stage, "dataset", "export", "support", "-f", export_format, "--as", container, "-o", path)


async def vbatch(stage: Stage, *arguments: str) -> None:
    done = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env={"VBATCH_URL": stage.origin})
    assert done.exit_code == 0, done.output


def read_by_trainers(folder: Path, report: Path) -> dict[str, dict[str, Any]]:
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": str(report.parent / "huggingface")}
    done = subprocess.run(
        [PYTHON, READING, folder, report],
        env=os.environ | offline,
        capture_output=True,
        text=True,
        timeout=READ_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    return dict(json.loads(report.read_text()))


async def test_datasets_loads_every_export_and_trl_trains_on_it(stage: Stage, tmp_path: Path):
    if not PYTHON.exists():
        pytest.fail("TRL is not installed: run `./taskw test:trainers`")
    folder = tmp_path / "exports"
    folder.mkdir()
    await exported(stage, folder)
    read = await asyncio.to_thread(read_by_trainers, folder, tmp_path / "read.json")

    assert sorted(read) == sorted(f"{export_format}.{container}" for export_format, container in EXPORTS)
    for name, found in read.items():
        export_format, _, container = name.partition(".")
        lines = [json.loads(line) for line in (folder / f"{export_format}.jsonl").read_text().splitlines()]
        assert [without_nulls(row) for row in found["rows"]] == [without_nulls(line) for line in lines], name
        assert len(lines) >= 8
        if export_format in TRL_FORMATS:
            assert found["is_conversational"] and 0 < found["loss"] < 100, (name, container)


def without_nulls(value: Any) -> Any:
    """A table has every column in every row; what a line leaves out is null there."""
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value
