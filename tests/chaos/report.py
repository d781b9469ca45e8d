"""What a campaign says at its end, as JSON: the same keys every time."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from tests.chaos.campaign import Campaign, Recovery
from tests.chaos.faults import Means
from tests.chaos.verdict import REDONE_PER_LOSS_MAX, Runs

DIED = (Means.KILL, Means.TERM)


@dataclass(frozen=True)
class Report:
    command: str
    seed: int
    seconds: float
    faults: int
    kills: int
    kills_by_process: dict[str, int]
    faults_by_kind: dict[str, int]
    batches: dict[str, int]
    requests: int
    not_acknowledged: dict[str, int]
    recovery_seconds_median: float
    recovery_seconds_max: float
    recovery_seconds_max_by_process: dict[str, float]
    recovery_seconds_median_by_process: dict[str, float]
    started_requests: int
    redone_requests: int
    losses: int
    redone_after_one_loss_max: int
    redone_per_loss_bound: int
    started_after_outcome: int
    lost: int
    duplicated: int
    violations: list[str]
    timeline: list[str]

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def report_of(
    campaign: Campaign, runs: Runs, losses: list[float], *, command: str, seed: int, seconds: float
) -> Report:
    died = [it for it in campaign.recoveries if it.fault.means in DIED]
    measured = [it for it in campaign.recoveries if it.seconds > 0]
    promises = campaign.workload.promises
    return Report(
        command=command,
        seed=seed,
        seconds=round(seconds, 1),
        faults=len(campaign.recoveries),
        kills=len(died),
        kills_by_process=dict(sorted(Counter(it.fault.victim for it in died).items())),
        faults_by_kind=dict(sorted(Counter(str(it.fault) for it in campaign.recoveries).items())),
        batches=dict(sorted(Counter(promise.kind.value for promise in promises).items())),
        requests=sum(len(promise.given) for promise in promises),
        not_acknowledged=dict(campaign.workload.refusals),
        recovery_seconds_median=_median(measured),
        recovery_seconds_max=_worst(measured),
        recovery_seconds_max_by_process={victim: _worst(some) for victim, some in _by_victim(measured)},
        recovery_seconds_median_by_process={victim: _median(some) for victim, some in _by_victim(measured)},
        started_requests=runs.started,
        redone_requests=len(runs.redone),
        losses=len(losses),
        redone_after_one_loss_max=_most_after_one(losses, runs),
        redone_per_loss_bound=REDONE_PER_LOSS_MAX,
        started_after_outcome=runs.late,
        lost=sum("lost" in it or "not ended" in it for it in campaign.violations),
        duplicated=sum("twice" in it or "two outcomes" in it for it in campaign.violations),
        violations=campaign.violations,
        timeline=[f"{_clock(it.at)} {it.fault}: {it.seconds:.2f} s" for it in campaign.recoveries],
    )


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def _by_victim(recoveries: list[Recovery]) -> list[tuple[str, list[Recovery]]]:
    victims = sorted({it.fault.victim for it in recoveries})
    return [(victim, [it for it in recoveries if it.fault.victim == victim]) for victim in victims]


def _median(recoveries: list[Recovery]) -> float:
    return round(statistics.median([it.seconds for it in recoveries] or [0.0]), 2)


def _worst(recoveries: list[Recovery]) -> float:
    return round(max((it.seconds for it in recoveries), default=0.0), 2)


def _most_after_one(losses: list[float], runs: Runs) -> int:
    """Requests started again between the loss of an engine or runner and the next loss."""
    counts = Counter(bisect_right(losses, at) for at in runs.redone)
    return max(counts.values(), default=0)
