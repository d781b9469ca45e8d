"""The limits a runner works under; `settings` fills them from the environment."""

from __future__ import annotations

from dataclasses import dataclass

from vbatch.gpu_runner.core.idle_tuning import IdleTuning


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, counts and bytes. The stop limits together stay below the 10 s that a service has to end."""

    request_seconds_max: float = 3600.0
    startup_seconds_max: float = 900.0
    silence_seconds_max: float = 120.0
    """An engine with requests inside, no answer and no health for this long is dead."""
    stall_seconds_max: float = 900.0
    """An engine that is healthy with requests inside, but produces neither an answer nor a token for this long, is
    stuck."""
    probe_seconds: float = 5.0
    load_seconds: float = 1.0
    """The pause between two reads of the engine's stats; it doubles while nothing changes, up to the next limit."""
    load_seconds_max: float = 8.0
    engine_stop_seconds: float = 3.0
    memory_free_seconds_max: float = 30.0
    flush_seconds_max: float = 3.0
    model_wait_seconds: float = 5.0
    """How long an order may arrive before the definition of its model."""
    busy_retries_max: int = 8
    busy_pause_seconds: float = 0.25
    busy_pause_seconds_max: float = 15.0
    broken_retries_max: int = 2
    retry_after_seconds_max: float = 60.0
    """Together with the number of tries far below `stall_seconds_max`: an engine that asks for a pause is not stuck."""
    reconnects_max: int = 3
    may_shorten_context: bool = False
    """Whether an engine that runs out of memory may be started again with a smaller max-model-len."""
    outbox_messages_max: int = 64
    """Feeding pauses while more than this many messages wait to be stored."""
    interactive_requests_max: int = 256
    """The most interactive requests inside the engines of a runner at once."""
    residents_max: int = 3
    """The most models loaded at once, if memory allows; 1: each is stopped before the next starts."""
    sleepers_max: int = 0
    """The most models asleep at once, if the device supports it; 0: none is started with sleep mode."""
    has_standby: bool = True
    """Whether a process that has imported the engine's code waits for the next model."""
    standby_spare_bytes: int = 2 << 30
    """Memory of the machine that must stay free beside a standby; otherwise there is none."""
    idle_tuning: IdleTuning = IdleTuning.UNKNOWN_DEVICE
    """Whether settings are measured while the runner is idle."""
    idle_tuning_rest_seconds: float = 30.0
    """How long nothing must run before settings are measured."""
    idle_tuning_seconds_max: float = 1800.0
    """The most time for measuring one model; one engine gets a fifth of it."""
