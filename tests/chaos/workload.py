"""A steady stream of small batches of every kind, and a record of what the server acknowledged about each."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import Random

import openai
from openai import OpenAI

from tests.abuse.texts import size, text
from tests.chaos.history import History
from tests.e2e.asking import Endpoint, Line, jsonl
from tests.support.stack import CHAT, OTHER_CHAT, SLOW_CHAT
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, FileId, OwnerId, new_batch_id
from vbatch.gpu_runner.core.chunks import BODY_BYTES_MAX

LATENCY_SECONDS = (0.02, 0.1, 0.3)
WINDOW_SECONDS = (0.5, 4.0)
CANCEL_SECONDS_MAX = 2.0
PAUSE_SECONDS = 0.05
ASK_SECONDS_MAX = 20.0
LARGE_AT = 7
LARGE_BYTES = BODY_BYTES_MAX + 1
"""One answer of each batch is too large for a chunk and goes to a blob."""
LONG_BYTES = 2_200_000
MANY_FAULTS_BYTES = 1_000
ENDINGS_OF_NAMES = ("",) * 20 + ("z" * 1_000, "\x01" * 1_000, "\u2028" * 300, '\\"{}' * 200)
"""Of custom ids: most are plain, some as long and odd as they may be."""
HOSTILE_REQUESTS_MAX = 30
HOSTILE_BYTES_MAX = 65_536
"""Of each text of a hostile line and of its answer; `tests.abuse` goes to 8 MB."""
ENDPOINT: Endpoint = "/v1/chat/completions"
MODELS = (CHAT, OTHER_CHAT, SLOW_CHAT)
HOSTILE_ANSWERS: tuple[Callable[[Random], Line], ...] = (
    lambda random: {},
    lambda random: {"answer_bytes": size(random, HOSTILE_BYTES_MAX)},
    lambda random: {"finish_reason_bytes": size(random, HOSTILE_BYTES_MAX)},
    lambda random: {"tool_name_bytes": size(random, HOSTILE_BYTES_MAX)},
    lambda random: {"headers": {"x-odd": text(random, 1_000).replace("\r", "").replace("\n", "")}},
    lambda random: {"status": 400, "error_bytes": size(random, HOSTILE_BYTES_MAX)},
)
"""What the engine is asked to answer, once: nothing that the runner may ask again, which would look like a loss."""


class Kind(StrEnum):
    PLAIN = "plain"
    CANCELLED = "cancelled"
    EXPIRING = "expiring"
    BAD = "bad"
    POISON = "poison"
    HOSTILE = "hostile"
    """Fit, with any text in its prompts, its fields and the answers of the engine."""


SHARES = {
    Kind.PLAIN: 52,
    Kind.CANCELLED: 16,
    Kind.EXPIRING: 10,
    Kind.BAD: 7,
    Kind.POISON: 7,
    Kind.HOSTILE: 8,
}


@dataclass
class Promise:
    """A batch whose creation was acknowledged."""

    batch_id: BatchId
    kind: Kind
    given: list[Line]
    poison: frozenset[str]
    is_cancel_acknowledged: bool = False


@dataclass(frozen=True)
class Habits:
    """How a workload behaves; bodies steer the simulated engine only where there is one."""

    models: tuple[str, ...] = MODELS
    unfinished_target: int = 5
    requests_min: int = 40
    requests_max: int = 400
    shares: Mapping[Kind, int] = field(default_factory=lambda: SHARES)
    is_simulated: bool = True


@dataclass
class Workload:
    """Submits until told to stop."""

    client: OpenAI
    history: History
    random: Random
    habits: Habits
    promises: list[Promise] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    """Asks that were not acknowledged, by what came instead: nothing is promised about them."""
    _number: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            if len(self.history.unfinished) < self.habits.unfinished_target:
                self._submit()

    def stop(self) -> None:
        self._stop.set()

    def _submit(self) -> None:
        kind = self._kind()
        given = self._lines(kind)
        try:
            promise = Promise(self._created(kind, given), kind, given, poison_of(given))
        except openai.APIError as error:
            self.refusals[f"create: {type(error).__name__}"] += 1
            return
        self.promises.append(promise)
        if kind is Kind.CANCELLED:
            self._cancel(promise)

    def _kind(self) -> Kind:
        return self.random.choices(list(self.habits.shares), list(self.habits.shares.values()))[0]

    def _lines(self, kind: Kind) -> list[Line]:
        self._number += 1
        model, latency = self.random.choice(self.habits.models), self.random.choice(LATENCY_SECONDS)
        count = self.random.randint(self.habits.requests_min, self.habits.requests_max)
        culprit = self.random.randrange(count) if kind is Kind.POISON else -1
        lines = [self._line(number, model, latency, is_poison=number == culprit) for number in range(count)]
        if kind is Kind.BAD:
            self._spoil(lines)
        if kind is Kind.HOSTILE:
            return [self._hostile(line) for line in lines[:HOSTILE_REQUESTS_MAX]]
        return lines

    def _spoil(self, lines: list[Line]) -> None:
        """One line or all of them are unfit, in a way that once stopped a service or in a plain one."""
        line = self.random.choice(lines)
        match self.random.randrange(4):
            case 0:
                del line["body"]["model"]
            case 1:
                line["method"] = "M" * LONG_BYTES
            case 2:
                line["custom_id"] = "z" * LONG_BYTES
            case _:
                for each in lines:
                    each["url"] = each["method"] = "\x01" * MANY_FAULTS_BYTES

    def _hostile(self, line: Line) -> Line:
        """Keep its words in front, by which its answer is known, and its model."""
        [message] = line["body"]["messages"]
        message["content"] += f" {self._text()}"
        line["body"] = {self._text(): self._text()} | line["body"]
        line["body"]["simulate"] |= self.random.choice(HOSTILE_ANSWERS)(self.random)
        return line

    def _text(self) -> str:
        return text(self.random, HOSTILE_BYTES_MAX)

    def _line(self, number: int, model: str, latency: float, *, is_poison: bool) -> Line:
        messages = [{"role": "user", "content": f"batch {self._number} request {number}"}]
        body: Line = {"model": model, "messages": messages, "max_tokens": 8}
        if self.habits.is_simulated:
            body["simulate"] = {"latency_seconds": latency} | ({"crash": True} if is_poison else {})
            if number == LARGE_AT:
                body["simulate"] |= {"answer_bytes": LARGE_BYTES}
        name = f"{self._number}-{number}" + self.random.choice(ENDINGS_OF_NAMES)
        return {"custom_id": name, "method": "POST", "url": ENDPOINT, "body": body}

    def _created(self, kind: Kind, given: list[Line]) -> BatchId:
        uploaded = self.client.files.create(file=("in.jsonl", jsonl(given)), purpose="batch", timeout=ASK_SECONDS_MAX)
        if kind is Kind.EXPIRING:
            return self._created_with_a_short_window(FileId(uploaded.id))
        batch = self.client.batches.create(
            input_file_id=uploaded.id,
            endpoint=ENDPOINT,
            completion_window="24h",
            timeout=ASK_SECONDS_MAX,
            extra_headers={"Idempotency-Key": f"chaos-{self._number}"},
        )
        return BatchId(batch.id)

    def _created_with_a_short_window(self, input_file_id: FileId) -> BatchId:
        """The API knows one window, of a day; what happens at its end is made to happen soon, by the event itself."""
        now = datetime.now(UTC)
        seconds = self.random.uniform(*WINDOW_SECONDS)
        created = e.BatchCreated(
            batch_id=new_batch_id(now, os.urandom(16)),
            owner=OwnerId("local"),
            input_file_id=input_file_id,
            endpoint=ENDPOINT,
            completion_window="24h",
            at=now,
            expires_at=now + timedelta(seconds=seconds),
        )
        self.history.append(created)
        return created.batch_id

    def _cancel(self, promise: Promise) -> None:
        self._stop.wait(self.random.uniform(0, CANCEL_SECONDS_MAX))
        try:
            self.client.batches.cancel(promise.batch_id, timeout=ASK_SECONDS_MAX)
            promise.is_cancel_acknowledged = True
        except openai.APIError as error:
            self.refusals[f"cancel: {type(error).__name__}"] += 1


def poison_of(given: list[Line]) -> frozenset[str]:
    return frozenset(line["custom_id"] for line in given if line["body"].get("simulate", {}).get("crash"))


def body_digest(line: Line) -> str:
    """As the simulated engine names a request: bodies reach it as they were written."""
    return hashlib.blake2b(json.dumps(line["body"]).encode(), digest_size=12).hexdigest()
