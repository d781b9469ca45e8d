"""Some minutes of anybody's text against a real stack, while another owner goes on with small batches of its own."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import openai
from openai import OpenAI

from tests.abuse.asks import Gateway
from tests.abuse.lines import hostile_file
from tests.e2e.asking import ENDED, chat_line, jsonl, submit, wait_for_end
from tests.support.stack import RunningStack, running_stack

ABUSER_KEY, BYSTANDER_KEY = "abuser-key-of-the-campaign", "bystander-key-of-the-campaign"
BYSTANDER_LINES = 20
BYSTANDER_PAUSE_SECONDS = 0.5
END_SECONDS_MAX = 120.0
"""For the last of the abuser's batches, pauses of engines that ask for patience included."""
UNENDED_MAX = 8
"""Batches of the abuser's that are open at once."""
BATCH_SHARE = 0.25
"""Of all inputs; the others are asks."""
RETRY_AFTER_SECONDS_MAX = 2.0
SERVER_FAULT = 500
IDS_MAX = 200


@dataclass
class Report:
    """`inputs` are asks and files; `server_faults` are asks that got a 500, by route."""

    inputs: int = 0
    asks: int = 0
    batches: int = 0
    service_exits: int = 0
    batches_unended: int = 0
    bystander_batches: int = 0
    bystander_seconds_max: float = 0.0
    bystander_lines_missing: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    server_faults: Counter[str] = field(default_factory=Counter)


@dataclass
class Bystander:
    """Submits small batches one after the other, and notes the longest that one took."""

    client: OpenAI
    report: Report
    error: Exception | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            while not self._stop.wait(BYSTANDER_PAUSE_SECONDS):
                self._submit()
        except (openai.OpenAIError, AssertionError) as error:  # raised where the campaign ends
            self.error = error

    def stop(self) -> None:
        self._stop.set()

    def _submit(self) -> None:
        began = time.monotonic()
        batch = submit(self.client, jsonl(chat_line(number) for number in range(BYSTANDER_LINES)))
        ended = wait_for_end(self.client, batch.id)
        seconds = time.monotonic() - began
        counts = ended.request_counts
        self.report.bystander_batches += 1
        self.report.bystander_seconds_max = max(self.report.bystander_seconds_max, round(seconds, 2))
        self.report.bystander_lines_missing += BYSTANDER_LINES - (counts.completed if counts else 0)


class Abuser:
    """Whoever means no good, or only mistypes: one thing after the other."""

    def __init__(self, stack: RunningStack, client: OpenAI, random: Random, report: Report) -> None:
        self._client = client
        self._random = random
        self._report = report
        self._open: list[str] = []
        self._ids: list[str] = []
        self._gateway = Gateway(stack.settings.gateway_port, ABUSER_KEY, random, self._ids)

    def go_on_until(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            self._report.inputs += 1
            if self._random.random() < BATCH_SHARE and len(self._open) < UNENDED_MAX:
                self.submit(hostile_file(self._random))
            else:
                self._ask()
            self._look()

    def submit(self, content: bytes) -> None:
        """The server may refuse the upload; a batch that it has taken must end."""
        self._report.batches += 1
        try:
            batch = submit(self._client, content)
        except openai.APIStatusError as error:
            self._report.statuses[error.status_code] += 1
            if error.status_code == SERVER_FAULT:
                self._report.server_faults["POST /v1/files"] += 1
            return
        self._open.append(batch.id)
        self._remember(batch.id, batch.input_file_id)

    def wait_for_all(self) -> None:
        deadline = time.monotonic() + END_SECONDS_MAX
        while self._open and time.monotonic() < deadline:
            self._look()
            time.sleep(0.2)
        self._report.batches_unended = len(self._open)

    def _ask(self) -> None:
        self._report.asks += 1
        what, status = self._gateway.ask()
        self._report.statuses[status] += 1
        if status == SERVER_FAULT:
            self._report.server_faults[what] += 1

    def _look(self) -> None:
        """At one of the open batches; one that the abuser cancelled or paused itself goes on."""
        if not self._open:
            return
        batch = self._client.batches.retrieve(self._open[0])
        if batch.status in ENDED:
            self._open.pop(0)
            self._report.endings[batch.status] += 1
        else:
            with suppress(openai.ConflictError):  # it is being ended
                self._client.post(f"/batches/{batch.id}/resume", cast_to=object)
            self._open.append(self._open.pop(0))

    def _remember(self, *ids: str) -> None:
        self._ids.extend(ids)
        del self._ids[:-IDS_MAX]


def abuse(seed: int, seconds: float) -> Report:
    """On a stack of its own."""
    with abused_stack() as stack:
        return abuse_of(stack, seed, seconds)


def abuse_of(stack: RunningStack, seed: int, seconds: float) -> Report:
    report, random, restarts = Report(), Random(seed), stack.restarts()
    with client_of(stack, ABUSER_KEY) as client, client_of(stack, BYSTANDER_KEY) as other:
        bystander, abuser = Bystander(other, report), Abuser(stack, client, random, report)
        beside = threading.Thread(target=bystander.run)
        beside.start()
        try:
            abuser.go_on_until(time.monotonic() + seconds)
            abuser.wait_for_all()
        finally:
            bystander.stop()
            beside.join()
    if bystander.error is not None:
        raise bystander.error
    report.service_exits = stack.restarts() - restarts
    return report


@contextmanager
def abused_stack() -> Iterator[RunningStack]:
    """With two owners, who never see each other's objects."""
    with TemporaryDirectory() as folder:
        keys = Path(folder) / "keys"
        owners = {"abuser": ABUSER_KEY, "bystander": BYSTANDER_KEY}
        lines = [f"{name} {hashlib.sha256(key.encode()).hexdigest()}\n" for name, key in owners.items()]
        keys.write_text("".join(lines))
        environment = {
            "VBATCH_GATEWAY_API_KEYS_FILE": str(keys),
            "VBATCH_GPU_RUNNER_RETRY_AFTER_SECONDS_MAX": str(RETRY_AFTER_SECONDS_MAX),
        }
        with running_stack(environment=environment) as stack:
            yield stack


def client_of(stack: RunningStack, key: str) -> OpenAI:
    return OpenAI(base_url=f"{stack.url}/v1", api_key=key, max_retries=2)
