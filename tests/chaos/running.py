"""A campaign from an empty home to its report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import openai

from tests.chaos.campaign import Campaign
from tests.chaos.faults import Fault, Saboteur
from tests.chaos.history import History
from tests.chaos.report import Report, report_of
from tests.chaos.verdict import REDONE_PER_LOSS_MAX, Reading, faults_of_files, runs_of
from tests.chaos.workload import MODELS, Workload
from tests.support.paths import ROOT
from tests.support.stack import RunningStack, running_stack

REAL_MODELS = ("HuggingFaceTB/SmolLM2-135M-Instruct",)
MODEL = """\
[[model]]
id = "{model}"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
max_num_seqs = 64
arguments = {{ started-log = "{log}" }}

"""


def chaos(
    seed: int,
    kills: int,
    *,
    command: str = "",
    is_simulated: bool = True,
    faults: Iterator[Fault] | None = None,
    keep: Path | None = None,
) -> Report:
    """Run a campaign on a stack of its own; what was found stands in the report's `violations`."""
    started = time.monotonic()
    with TemporaryDirectory(prefix="vbatch-chaos-") as folder, _stack(Path(folder), is_simulated) as stack:
        log = Path(folder) / "started.log"
        with History(stack.settings.log_url).running() as history, stack.client() as client:
            models = MODELS if is_simulated else REAL_MODELS
            workload = Workload(client, history, Random(f"work {seed}"), models, is_simulated)
            random = Random(f"faults {seed}")
            campaign = Campaign(stack, history, workload, Saboteur(stack, random), random)
            campaign.run(kills, faults)
            reading = _judge(campaign)
        runs = runs_of(log, workload.promises, reading.answered_at)
        if keep is not None:
            shutil.copytree(stack.home / "logs", keep, dirs_exist_ok=True)
    if len(runs.redone) > len(reading.losses) * REDONE_PER_LOSS_MAX:
        campaign.violations.append(f"{len(runs.redone)} requests were run again after {len(reading.losses)} losses")
    if runs.late:
        campaign.violations.append(f"{runs.late} requests were started after their outcome was in the log")
    return report_of(campaign, runs, reading.losses, command=command, seed=seed, seconds=time.monotonic() - started)


def _judge(campaign: Campaign) -> Reading:
    reading = Reading().fold(campaign.history.entries)
    campaign.violations += reading.violations
    for promise in campaign.workload.promises:
        if promise.batch_id in campaign.history.unfinished:
            continue
        try:
            with campaign.stack.client() as client:
                campaign.violations += faults_of_files(client, promise, reading)
        except openai.APIError as error:
            campaign.violations.append(f"{promise.batch_id}: cannot be read: {error}")
    return reading


@contextmanager
def _stack(folder: Path, is_simulated: bool) -> Iterator[RunningStack]:
    if is_simulated:
        log = folder / "started.log"
        models = folder / "models.toml"
        models.write_text("".join(MODEL.format(model=model, log=log) for model in MODELS))
        environment: dict[str, str] = {}
    else:
        models = ROOT / "models.toml"
        environment = {
            "VBATCH_GPU_RUNNER_ENGINE_PYTHON": str(ROOT / ".engine" / "bin" / "python"),
            "VBATCH_GPU_RUNNER_PREPARE_SCRIPT": str(ROOT / "deploy" / "engine" / "prepare_model.py"),
        }
    with running_stack(models, environment) as stack:
        yield stack
