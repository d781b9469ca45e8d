"""A campaign from an empty home to its report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import openai

from tests.chaos.campaign import PAIR_SHARE, RECOVERY_SECONDS_MAX, Campaign
from tests.chaos.disks import Disks, stack_on_disks
from tests.chaos.faults import SERVICES, Fault, deck, engine_kills
from tests.chaos.history import History
from tests.chaos.interactive_clients import ENVIRONMENT as CLIENTS_ENVIRONMENT, InteractiveClients
from tests.chaos.links import Links
from tests.chaos.places import Places
from tests.chaos.report import Report, report_of
from tests.chaos.saboteur import SILENCE_SECONDS, Saboteur
from tests.chaos.verdict import Reading, faults_of_files
from tests.chaos.work import Done, Work, notes, work_of
from tests.chaos.workload import MODELS, Habits, Kind, Workload, body_digest
from tests.support.paths import ROOT
from tests.support.stack import RunningStack, stack_home
from vbatch.chassis.failpoints import FOLDER_VARIABLE
from vbatch.local.log_access import log_settings

WORK_LOG = "work.log"
LOG_AWAY_SECONDS = SILENCE_SECONDS[1]
"""Before and after the end of a fault that takes the log away, it may be away."""
EARLY_ARCHIVES = {"VBATCH_RESULTS_ARCHIVE_GRACE_SECONDS": "0", "VBATCH_RESULTS_SWEEP_SECONDS": "1"}
"""Batches move to archives as soon as they end, so that a campaign strikes at every step of that, too."""
REAL_HABITS = Habits(
    models=("HuggingFaceTB/SmolLM2-135M-Instruct",),
    unfinished_target=1,
    requests_min=500,
    requests_max=500,
    shares={Kind.PLAIN: 1},
    is_simulated=False,
)
"""One batch at a time: a kill comes while it has work left, and the next batch follows the end of the last."""
REAL_RECOVERY_SECONDS_MAX = 600.0
"""vLLM starts within 25 to 40 s on two idle cores, and took 214 s on two with 20 processes at work."""
MODEL = """\
[[model]]
id = "{model}"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
max_num_seqs = 64
arguments = {{ work-log = "{log}" }}

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
    with (
        TemporaryDirectory(prefix="vbatch-chaos-") as folder,
        _stack(Path(folder), is_simulated) as (stack, links, disks),
    ):
        places = Places(Path(folder))
        with (
            History(log_settings(stack.settings, "chaos"), stack.settings.archives_url).running() as history,
            stack.client() as client,
        ):
            workload = Workload(client, history, Random(f"work {seed}"), Habits() if is_simulated else REAL_HABITS)
            random = Random(f"faults {seed}")
            campaign = Campaign(
                stack,
                history,
                workload,
                Saboteur(stack, random, links, places, disks),
                random,
                recovery_seconds_max=RECOVERY_SECONDS_MAX if is_simulated else REAL_RECOVERY_SECONDS_MAX,
                pair_share=PAIR_SHARE if is_simulated else 0.0,
            )
            interactive_clients = InteractiveClients(stack.url)
            with interactive_clients.running() if is_simulated else nullcontext():
                campaign.run(kills, faults or (deck(random) if is_simulated else engine_kills(random)))
            campaign.violations += interactive_clients.violations
            is_equal = _is_equal_to_its_log(campaign)
            reading = _judge(campaign)
        places.look()
        work = _work(campaign, notes(Path(folder) / WORK_LOG), reading)
        if keep is not None:
            shutil.copytree(stack.home / "logs", keep, dirs_exist_ok=True)
    campaign.violations += work.faults()
    return report_of(
        campaign,
        work,
        places,
        disks=disks.state,
        interactive=dict(sorted(interactive_clients.results.items())),
        is_equal=is_equal,
        command=command,
        seed=seed,
        seconds=time.monotonic() - started,
    )


def _work(campaign: Campaign, done: list[Done], reading: Reading) -> Work:
    places = {
        body_digest(line): (promise.batch_id, number)
        for promise in campaign.workload.promises
        for number, line in enumerate(promise.given, start=1)
    }
    away = [
        (recovery.at - LOG_AWAY_SECONDS, recovery.at + recovery.seconds + LOG_AWAY_SECONDS)
        for recovery in campaign.recoveries
        if recovery.fault.takes_the_log_away
    ]
    return work_of(done, reading.losses, places=places, answered_at=reading.answered_at, log_away=away)


def _is_equal_to_its_log(campaign: Campaign) -> bool:
    """Made again, compared, and served from then on: the files that are judged come from what was made again."""
    done = campaign.stack.vbatch("rebuild", "--verify", "--switch")
    if done.returncode != 0:
        campaign.violations.append(f"rebuild: {done.stdout}{done.stderr}")
    return done.returncode == 0


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
def _stack(folder: Path, is_simulated: bool) -> Iterator[tuple[RunningStack, Links, Disks]]:
    """Its services reach the log over links, are struck at places, and run out of room on disks of their own."""
    models = _simulated_models(folder) if is_simulated else ROOT / "models.toml"
    with Links(SERVICES).running() as links:
        environment = links.environment() | {FOLDER_VARIABLE: str(folder)} | ({} if is_simulated else _real_engine())
        environment |= EARLY_ARCHIVES | CLIENTS_ENVIRONMENT
        with (
            stack_home(models, environment) as prepared,
            stack_on_disks(prepared, is_wanted=is_simulated) as (stack, disks),
        ):
            links.target = stack.settings.nats_port
            stack.stack.up()
            yield stack, links, disks


def _simulated_models(folder: Path) -> Path:
    models = folder / "models.toml"
    models.write_text("".join(MODEL.format(model=model, log=folder / WORK_LOG) for model in MODELS))
    return models


def _real_engine() -> dict[str, str]:
    return {
        "VBATCH_GPU_RUNNER_ENGINE_PYTHON": str(ROOT / ".engine" / "bin" / "python"),
        "VBATCH_GPU_RUNNER_PREPARE_SCRIPT": str(ROOT / "deploy" / "engine" / "prepare_model.py"),
    }
