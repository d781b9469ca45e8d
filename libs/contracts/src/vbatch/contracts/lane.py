"""The interactive lane between the gateway and a runner: its paths, its headers, and what a runner reports about
itself.

A request that a client waits for goes over HTTP from the gateway to a runner, and from there to the engine. Nothing of
it is in the log.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from vbatch.contracts.ids import ModelId, RunnerId

LANE_PATH = "/lane"
"""`GET /lane` is the state of a runner. A `POST` to `/lane` followed by the path of an endpoint is a request."""
MODEL_HEADER = "x-vbatch-model"
REQUEST_HEADER = "x-request-id"
RESULT_HEADER = "x-vbatch-lane"
"""On every answer of a runner: whether the engine answered, or why not. An answer without it is not from a runner."""
DEMAND_PATH = "/demand"
"""`POST /demand?model=ID` of the scheduler: clients wait for this model."""
DEMAND_SECONDS = 5.0
"""A demand is forgotten when it is not repeated within this time."""
BODY_BYTES_MAX = 16 << 20
"""The largest body of an interactive request. A line of a batch may be as long."""
TOKENIZE = "/tokenize"
"""vLLM's own endpoint, in addition to those of OpenAI. It counts the tokens of a request without running it."""


class LaneResult(StrEnum):
    """What became of a request in the lane."""

    ANSWERED = "answered"
    """The engine answered; the status and the body are the engine's own."""
    NOT_LOADED = "not_loaded"
    """The model does not answer on this runner now, or it is about to leave the device."""
    FULL = "full"
    """The most interactive requests that may run at once are running already."""
    ENGINE_LOST = "engine_lost"
    """The engine died, or it closed the connection."""
    TIMED_OUT = "timed_out"
    TOO_LARGE = "too_large"


class DemandAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the scheduler answers to a gateway whose clients wait for a model. `message` is a sentence for a client.

    `retry_after_seconds` is when the model may be ready, `earliest_seconds` when its load may begin. `is_hopeless` says
    that waiting does not help.
    """

    message: str
    retry_after_seconds: float
    earliest_seconds: float = 0.0
    is_hopeless: bool = False


class DeviceProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process that holds memory of a device. `is_ours` says that this runner started it."""

    pid: int
    name: str
    memory_bytes: int | None
    is_ours: bool


class LaneState(msgspec.Struct, frozen=True, kw_only=True):
    """What a runner reports about itself. `ready` are the models that answer now, `wanted` the one that it works
    towards. `watts` is the power draw of its device, `processes` what holds memory of it; None
    if the device does not report it."""

    runner_id: RunnerId
    epoch: int
    ready: tuple[ModelId, ...] = ()
    wanted: ModelId | None = None
    inside: int = 0
    places: int = 0
    watts: float | None = None
    processes: tuple[DeviceProcess, ...] | None = None
