"""Numbers, times and states as the pages say them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from vbatch.console.core.api_objects import Admission, Batch, Eta, Runner
from vbatch.contracts.durations import rough_duration
from vbatch.contracts.lifecycle import BatchStatus

MINUTE, HOUR, DAY = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True)
class State:
    """A word with a tone and an icon: a state is never shown by its colour alone."""

    word: str
    tone: str
    icon: str


STATES: dict[BatchStatus, State] = {
    BatchStatus.VALIDATING: State("validating", "busy", "clock"),
    BatchStatus.IN_PROGRESS: State("in progress", "busy", "run"),
    BatchStatus.FINALIZING: State("finalizing", "busy", "clock"),
    BatchStatus.COMPLETED: State("completed", "good", "check"),
    BatchStatus.FAILED: State("failed", "bad", "cross"),
    BatchStatus.EXPIRED: State("expired", "bad", "cross"),
    BatchStatus.CANCELLING: State("cancelling", "warn", "stop"),
    BatchStatus.CANCELLED: State("cancelled", "quiet", "stop"),
}
PAUSED = State("paused", "warn", "pause")
WAITING = State("waiting", "quiet", "clock")
WITH_FAILURES = State("completed, with failures", "warn", "check")

RUNNER_STATES: dict[str, State] = {
    "ready": State("serving", "good", "check"),
    "idle": State("idle", "quiet", "clock"),
    "loading": State("loading", "busy", "clock"),
    "failed": State("load failed", "bad", "cross"),
    "crashed": State("engine crashed", "bad", "cross"),
    "stopped": State("stopped", "warn", "stop"),
}
DRAINED: dict[str, State] = {
    "keep": State("drained", "warn", "pause"),
    "unload": State("drained, device free", "warn", "pause"),
    "restart": State("restarting", "busy", "clock"),
}
DRAINING = State("draining", "busy", "clock")
"""A runner that still finishes what is inside its engine."""
SERVICE_STATES: dict[str, State] = {
    "ready": State("ready", "good", "check"),
    "not_ready": State("not ready", "warn", "clock"),
    "unreachable": State("does not answer", "bad", "cross"),
}
UNKNOWN = State("unknown", "quiet", "clock")


def runner_state(runner: Runner) -> State:
    """Return the state of a runner; a drain matters more than what is loaded."""
    if runner.drain is None or runner.state == "stopped":
        return RUNNER_STATES.get(runner.state, UNKNOWN)
    return DRAINING if runner.drain.done_at is None else DRAINED.get(runner.drain.goal, UNKNOWN)


def batch_state(batch: Batch) -> State:
    """Return the state. A completed batch with failed lines says so: green must not hide red."""
    if batch.paused_at is not None and batch.is_steerable:
        return PAUSED
    if batch.status is BatchStatus.COMPLETED and batch.request_counts.failed:
        return WITH_FAILURES
    if batch.status is BatchStatus.IN_PROGRESS and not batch.request_counts.answered and batch.queue_position != 0:
        return WAITING
    return STATES[batch.status]


def span(seconds: float) -> str:
    return rough_duration(seconds, shortest="less than 1 s")


def ends(eta: Eta, now: float) -> str:
    """Return a text such as `in about 3 min`; a guess is called one."""
    if eta.likely - now < 2 and not eta.is_guess:
        return "at any moment"
    about = f"in about {span(max(1.0, eta.likely - now))}"
    return f"{about}, a guess" if eta.is_guess else about


def ends_range(eta: Eta, now: float) -> str:
    """Return a text such as `2 min to 5 min`."""
    earliest, latest = (span(max(1.0, at - now)) for at in (eta.earliest, eta.latest))
    return earliest if earliest == latest else f"{earliest} to {latest}"


def window_warning(admission: Admission | None, window: str) -> str:
    """Return a warning; empty if the completion window will be kept."""
    if admission is None or admission.feasible:
        return ""
    enough = admission.earliest_completion_window
    remedy = f"A window of {enough} would be enough." if enough else "Not even a week would be enough."
    return f"It will not end within its window of {window} at the present pace. {remedy}"


def number(count: float) -> str:
    """Return a text such as `12,345`; with one decimal below ten if there is a fraction."""
    if isinstance(count, float) and count < 10 and count != int(count):
        return f"{count:.1f}"
    return f"{count:,.0f}"


def percent(part: int, whole: int) -> float:
    """Return 0 to 100, but never 100 before the end."""
    if not whole:
        return 0.0
    return min(99.9, 100.0 * part / whole) if part < whole else 100.0


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc_clock(at: float) -> str:
    """Return the time for browsers that run no script."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M UTC")


def utc_moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


_CONTROLS = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"} | {0x7F: 0x2421, 0x0D: 0x240D}
_HIDDEN = "\u061c\u200b\u200e\u200f\u2060\u2066\u2067\u2068\u2069\u202a\u202b\u202c\u202d\u202e\ufeff"
_SHOWN = re.compile(f"[{_HIDDEN}]")


def shown_text(text: str) -> str:
    """Return text of others with hidden or active characters made visible: control characters as their pictures, marks
    that change the direction of text by their code points."""
    return _SHOWN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text.translate(_CONTROLS))
