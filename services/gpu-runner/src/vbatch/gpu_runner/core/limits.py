"""The limits a runner works under; `settings` fills them from the environment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, counts and bytes. Together the stop limits stay below the 10 s a service has to end in."""

    request_seconds_max: float = 3600.0
    startup_seconds_max: float = 900.0
    silence_seconds_max: float = 120.0
    """Without an answer, with requests inside and without health, for this long: the engine is dead."""
    stall_seconds_max: float = 900.0
    """Healthy, with requests inside, yet neither an answer nor a token for this long: the engine is stuck."""
    probe_seconds: float = 5.0
    load_seconds: float = 1.0
    """Between two looks at how busy the engine is; while nothing changes the pause doubles, up to the next limit."""
    load_seconds_max: float = 8.0
    engine_stop_seconds: float = 3.0
    memory_free_seconds_max: float = 30.0
    flush_seconds_max: float = 3.0
    model_wait_seconds: float = 5.0
    """How long an order may come before the definition of its model."""
    busy_retries_max: int = 8
    busy_pause_seconds: float = 0.25
    busy_pause_seconds_max: float = 15.0
    broken_retries_max: int = 2
    retry_after_seconds_max: float = 60.0
    """Together with the tries far below `stall_seconds_max`: an engine that asks for patience is not stuck."""
    reconnects_max: int = 3
    may_shorten_context: bool = False
    """Whether an engine that runs out of memory may be started with a smaller max-model-len."""
    outbox_messages_max: int = 64
    """Feeding pauses while more than this waits to be stored."""
    residents_max: int = 3
    """Models that are loaded at once, where the device has room; 1: each is stopped before the next."""
    sleepers_max: int = 0
    """Models that sleep at once, where the device can; 0: none is started so that it could."""
    has_standby: bool = True
    """Whether a process with the engine's code imported waits for the next model."""
    standby_spare_bytes: int = 2 << 30
    """Memory of the machine that stays free beside a standby; with less there is none."""
