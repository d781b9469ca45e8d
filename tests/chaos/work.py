"""What the engines did with each request, as they noted it themselves: what ran again, for which loss, and whether a
loss cost more than it may: what was inside the engine, and what it had answered within one flush of the recorder."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.verdict import Place
from vbatch.gpu_runner.core.chunks import CHUNK_SECONDS_MAX
from vbatch.journal.single_writer import FRESH_SECONDS

CLOCK_SECONDS = 0.05
"""Between the time an engine notes and the time the log notes, on one machine under load."""
ZOMBIE_SECONDS = 10.0
"""For how long at most a runner is frozen, and its rival works."""
STORE_SECONDS = 0.25
"""For a chunk to be stored after it was closed, while the log takes writes."""
LAST_SECONDS = 2.0
"""The last of an engine that is lost: one whose runner is frozen still answers all that is inside."""


@dataclass(frozen=True)
class Done:
    """One note of an engine: at this time it began or answered a request, and so many were inside."""

    at: float
    is_answer: bool
    digest: str
    inside: int


@dataclass(frozen=True)
class Loss:
    """An engine or a runner that was lost with its work: what ran again for it, and what may have."""

    at: float
    redone: int
    bound: int


@dataclass(frozen=True)
class Work:
    """What the engines did: how often more than once, and what they should not have."""

    started: int = 0
    losses: list[Loss] = field(default_factory=list)
    """Those that cost work."""
    unexplained: int = 0
    """Starts of a request again without any loss in between."""
    late: list[str] = field(default_factory=list)
    """Starts of a request whose outcome was in the log already."""

    def faults(self) -> Iterator[str]:
        for loss in self.losses:
            if loss.redone > loss.bound:
                yield f"{loss.redone} requests were run again for the loss at {loss.at}, and {loss.bound} may be"
        if self.unexplained:
            yield f"{self.unexplained} requests were run again, and nothing was lost"
        for start in self.late:
            yield f"a request was started after its outcome was in the log: {start}"


def notes(path: Path) -> list[Done]:
    """In the order of their times; none of an engine that keeps no notes."""
    lines = path.read_text().splitlines() if path.exists() else []
    return sorted((_note(*line.split()) for line in lines), key=lambda done: done.at)


def _note(at: str, what: str, digest: str, inside: str) -> Done:
    return Done(float(at), what == "answered", digest, int(inside))


def work_of(
    done: Sequence[Done],
    losses: Sequence[float],
    *,
    places: Mapping[str, Place],
    answered_at: Mapping[Place, float],
    log_away: Iterable[tuple[float, float]] = (),
) -> Work:
    """`losses` are the times the log notes; `log_away` when the runner could not reach it."""
    before: dict[str, float] = {}
    redone: Counter[float] = Counter()
    late: list[str] = []
    started = unexplained = 0
    for each in done:
        if each.is_answer:
            continue
        started += 1
        if each.digest in before:
            loss = _cause(losses, before[each.digest], each.at)
            unexplained += loss is None
            redone[loss or 0.0] += loss is not None
        before[each.digest] = each.at
        place = places.get(each.digest)
        answered = answered_at.get(place) if place else None
        if answered is not None and each.at > answered + CLOCK_SECONDS:
            late.append(f"{place}, {each.at - answered:.3f} s after it, at {each.at}")
    away = list(log_away)
    found = [Loss(at, count, bound_of(done, at, away)) for at, count in sorted((+redone).items())]
    return Work(started, found, unexplained, late)


def bound_of(done: Sequence[Done], loss: float, log_away: Iterable[tuple[float, float]] = ()) -> int:
    """The most that was inside at the last of what was lost, and the most that was answered within one flush of it.

    A flush is the longest that a chunk waits to be closed, and its way into the log. Without the log a runner goes on
    for as long as it believes in its lease, and then holds what was answered until the log is back.
    """
    end = bisect_right(done, loss, key=lambda record: record.at)
    last = done[end - 1].at if end else loss
    away_since = min((begin for begin, until in log_away if begin <= last <= until), default=None)
    flush = CHUNK_SECONDS_MAX + (STORE_SECONDS if away_since is None else FRESH_SECONDS)
    since = last - LAST_SECONDS if away_since is None else min(away_since, last - LAST_SECONDS)
    lately = done[bisect_left(done, since - flush, key=lambda record: record.at) : end]
    answers = [record.at for record in lately if record.is_answer]
    most_answered = max((bisect_right(answers, at + flush) - first for first, at in enumerate(answers)), default=0)
    return max((record.inside for record in lately), default=0) + most_answered


def _cause(losses: Sequence[float], begin: float, end: float) -> float | None:
    """The loss that cost what began at `begin`: the first one the log notes after it. Without one in between, a loss
    just before it: its zombie, woken with a request that had all but left it, starts what its successor has begun."""
    at = bisect_left(losses, begin)
    if at < len(losses) and losses[at] <= end + CLOCK_SECONDS:
        return losses[at]
    return losses[at - 1] if at > 0 and end - losses[at - 1] < ZOMBIE_SECONDS else None
