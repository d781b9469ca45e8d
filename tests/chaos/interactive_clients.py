"""Clients that wait for answers while processes are struck: one asks whole, one streams. Each answer that they get
without an error must be whole."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle

import httpx2
import openai
from openai import OpenAI

from tests.chaos.workload import MODELS

WORDS = 40
ANSWER_SECONDS = 0.6
"""A stream takes so long, word by word, so that faults come in its middle."""
STEERED = {"simulate": {"latency_seconds": ANSWER_SECONDS}}
ASK_SECONDS_MAX = 20.0
PAUSE_SECONDS = 0.1
ENVIRONMENT = {
    "VBATCH_GATEWAY_INTERACTIVE_WAIT_SECONDS": "5",
    "VBATCH_SCHEDULER_INTERACTIVE_STAY_SECONDS": "1",
}
"""Clients get on soon, and take little of the device from the batches."""


@dataclass
class InteractiveClients:
    """`results` counts what came of each request; `violations` are answers that looked whole and were not."""

    url: str
    results: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [
            threading.Thread(target=self._ask_until_stopped, args=(kind,), name=f"client {kind}")
            for kind in ("whole", "stream")
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _ask_until_stopped(self, kind: str) -> None:
        models, number = cycle(MODELS), 0
        model = next(models)
        with OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, timeout=ASK_SECONDS_MAX) as client:
            while not self._stop.wait(PAUSE_SECONDS):
                number += 1
                if not self.ask_once(client, model, number, is_stream=kind == "stream"):
                    model = next(models)  # the one that batches run now may be another

    def ask_once(self, client: OpenAI, model: str, number: int, *, is_stream: bool) -> bool:
        """Return whether it was answered. No two requests are the same, so that none looks as if it ran again."""
        kind = "stream" if is_stream else "whole"
        text = " ".join(f"{kind}-{number}-{place}" for place in range(WORDS))
        try:
            answer = streamed(client, model, text) if is_stream else asked(client, model, text)
        except (openai.APIError, httpx2.HTTPError) as error:
            self.results[f"{kind}: {_name_of(error)}"] += 1
            return False
        self.results[f"{kind}: answered"] += 1
        if answer != f"[simulated] {text}":
            self.violations.append(f"an answer came as if it were whole, and was not: {kind} {number}: {answer!r}")
        return True


def asked(client: OpenAI, model: str, text: str) -> str:
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], max_tokens=2 * WORDS, extra_body=STEERED
    )
    return answer.choices[0].message.content or ""


def streamed(client: OpenAI, model: str, text: str) -> str:
    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": text}],
        max_tokens=2 * WORDS,
        stream=True,
        extra_body=STEERED,
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def _name_of(error: Exception) -> str:
    """The code of a refusal or of an error event, else the kind of a lost connection."""
    if not isinstance(error, openai.APIError):
        return type(error).__name__
    code = error.code or (json.dumps(error.body)[:100] if error.body else None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__
