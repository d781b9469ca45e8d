"""Compares profiles of one model on the real engine, with a short fixed workload."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from vbatch.contracts.endpoints import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.core.command import Device
from vbatch.gpu_runner.core.tuning import (
    Candidate,
    Trial,
    candidates,
    combined,
    first_round_requests,
    is_coarser,
    next_round,
)
from vbatch.gpu_runner.ports import (
    AnswerTooLarge,
    ConnectionLost,
    Engine,
    EngineFailed,
    Launcher,
    RequestTimedOut,
    TrialLauncher,
)

SHARED = "You are a careful assistant who answers in one sentence. " * 8
"""The start of every prompt: about a hundred tokens that a prefix cache can share."""
OUTPUT_TOKENS = 32
WARM_UP_REQUESTS = 4

OnTrial = Callable[[Trial], None]


class Untunable(Exception):
    """Raised when no profile of the model started and answered; the text is the last one's error."""


async def tune(definition: ModelDefinition, device: Device, launcher: Launcher, described: OnTrial) -> Candidate:
    """Return the best profile with answers as fine as they are now; `described` receives every trial, those of coarser
    profiles, too. Raises Untunable."""
    requests = first_round_requests(definition, device)
    trials = [
        await _trial(candidate, definition, device, launcher, requests, described)
        for candidate in candidates(definition, device)
    ]
    trials = [trial for trial in trials if not is_coarser(trial.candidate)]
    left = [*next_round(trials), *combined(trials)]
    while len(left) > 1:
        requests *= 2
        trials = [await _trial(candidate, definition, device, launcher, requests, described) for candidate in left]
        left = next_round(trials)
    if not left:
        raise Untunable(trials[-1].fault)
    return left[0]


async def tried(
    candidate: Candidate, definition: ModelDefinition, device: Device, launcher: Launcher | TrialLauncher, requests: int
) -> Trial:
    """Try one profile on the real engine. If it does not start or answer, that is a result, not an error."""
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        engine = await launcher.launch(candidate.applied(definition, device))
    except EngineFailed as error:
        return Trial(candidate, requests, fault=str(error))
    start_seconds = clock() - began
    try:
        return Trial(candidate, requests, await measured_rate(engine, requests), start_seconds=start_seconds)
    except (ConnectionLost, RequestTimedOut, AnswerTooLarge, EngineFailed) as error:
        return Trial(candidate, requests, fault=str(error) or type(error).__name__)
    finally:
        await engine.stop()


async def _trial(
    candidate: Candidate,
    definition: ModelDefinition,
    device: Device,
    launcher: Launcher,
    requests: int,
    described: OnTrial,
) -> Trial:
    trial = await tried(candidate, definition, device, launcher, requests)
    described(trial)
    return trial


async def measured_rate(engine: Engine, requests: int) -> float:
    """Return the requests per second with the engine kept full. Raises ConnectionLost, RequestTimedOut, AnswerTooLarge,
    EngineFailed."""
    clock = asyncio.get_running_loop().time
    await _ask_all(engine, WARM_UP_REQUESTS)
    began = clock()
    await _ask_all(engine, requests)
    return requests / (clock() - began)


async def _ask_all(engine: Engine, requests: int) -> None:
    room = asyncio.Semaphore(engine.concurrency)
    endpoint, body = _workload(engine.definition)

    async def ask(number: int) -> None:
        async with room:
            answer = await engine.ask(endpoint, body(number))
        if answer.status_code != 200:
            raise EngineFailed(f"it answered {answer.status_code}: {answer.body[:200].decode(errors='replace')}")

    ended = await asyncio.gather(*(ask(number) for number in range(requests)), return_exceptions=True)
    for trouble in filter(None, ended):
        raise trouble  # once no task is sending any more


def _workload(definition: ModelDefinition) -> tuple[str, Callable[[int], bytes]]:
    """Return the endpoint and a function that builds the body of each request."""
    endpoint = next(
        endpoint for endpoint in (CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS) if endpoint in definition.endpoints
    )

    def body(number: int) -> bytes:
        text = f"{SHARED}What is the square of {number}?"
        limits: dict[str, object] = {"max_tokens": OUTPUT_TOKENS, "temperature": 0, "ignore_eos": True}
        asked: dict[str, dict[str, object]] = {
            CHAT_COMPLETIONS: {"messages": [{"role": "user", "content": text}], **limits},
            COMPLETIONS: {"prompt": text, **limits},
            EMBEDDINGS: {"input": text},
        }
        return msgspec.json.encode({"model": definition.id, **asked[endpoint]})

    return endpoint, body
