"""What a campaign says at its end, as JSON: the same keys every time."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from tests.chaos.campaign import Campaign, Recovery
from tests.chaos.faults import PLACES, Means
from tests.chaos.places import Places
from tests.chaos.work import Work

DIED = (Means.KILL, Means.TERM)


@dataclass(frozen=True)
class Report:
    command: str
    seed: int
    seconds: float
    faults: int
    kills: int
    not_come: int
    disks: str
    """Whether file systems could be filled here, or why not."""
    kills_by_process_and_signal: dict[str, int]
    faults_by_kind: dict[str, int]
    failpoints_reached: list[str]
    failpoints_not_reached: list[str]
    failpoints_hit: dict[str, int]
    batches: dict[str, int]
    requests: int
    not_acknowledged: dict[str, int]
    interactive: dict[str, int]
    """What came of the requests of clients that waited for their answers."""
    recovery_seconds_median: float
    recovery_seconds_max: float
    recovery_seconds_max_by_process: dict[str, float]
    recovery_seconds_median_by_process: dict[str, float]
    started_requests: int
    redone_requests: int
    redone_per_loss: list[tuple[int, int]]
    """For each loss that cost work: the requests that ran again, and how many may have."""
    redone_per_loss_max: int
    redone_share_of_bound_max: float
    redone_without_loss: int
    started_after_outcome: int
    lost: int
    duplicated: int
    orphans: int
    rebuild_is_equal: bool
    violations: list[str]
    timeline: list[str]

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def report_of(
    campaign: Campaign,
    work: Work,
    places: Places,
    *,
    disks: str,
    interactive: dict[str, int],
    is_equal: bool,
    command: str,
    seed: int,
    seconds: float,
) -> Report:
    died = [recovery for recovery in campaign.recoveries if recovery.fault.means in DIED]
    measured = [recovery for recovery in campaign.recoveries if recovery.seconds > 0]
    promises = campaign.workload.promises
    return Report(
        command=command,
        seed=seed,
        seconds=round(seconds, 1),
        faults=len(campaign.recoveries),
        kills=len(died),
        not_come=campaign.not_come,
        disks=disks,
        kills_by_process_and_signal=_counted(f"{loss.fault.victim} {loss.fault.means}" for loss in died),
        faults_by_kind=_counted(str(recovery.fault) for recovery in campaign.recoveries),
        failpoints_reached=sorted(places.reached),
        failpoints_not_reached=sorted(set(PLACES) - places.reached),
        failpoints_hit=dict(sorted(places.hits.items())),
        batches=_counted(promise.kind.value for promise in promises),
        requests=sum(len(promise.given) for promise in promises),
        not_acknowledged=dict(campaign.workload.refusals),
        interactive=interactive,
        recovery_seconds_median=_median(measured),
        recovery_seconds_max=_worst(measured),
        recovery_seconds_max_by_process={victim: _worst(some) for victim, some in _by_victim(measured)},
        recovery_seconds_median_by_process={victim: _median(some) for victim, some in _by_victim(measured)},
        started_requests=work.started,
        redone_requests=sum(loss.redone for loss in work.losses),
        redone_per_loss=sorted(((loss.redone, loss.bound) for loss in work.losses), reverse=True),
        redone_per_loss_max=max((loss.redone for loss in work.losses), default=0),
        redone_share_of_bound_max=round(
            max((loss.redone / max(1, loss.bound) for loss in work.losses), default=0.0), 2
        ),
        redone_without_loss=work.unexplained,
        started_after_outcome=len(work.late),
        lost=sum("lost" in violation or "not ended" in violation for violation in campaign.violations),
        duplicated=sum("twice" in violation or "two outcomes" in violation for violation in campaign.violations),
        orphans=campaign.orphans,
        rebuild_is_equal=is_equal,
        violations=campaign.violations,
        timeline=[
            f"{_clock(recovery.at)} {recovery.fault}: {recovery.seconds:.2f} s" for recovery in campaign.recoveries
        ],
    )


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def _by_victim(recoveries: list[Recovery]) -> list[tuple[str, list[Recovery]]]:
    victims = sorted({recovery.fault.victim for recovery in recoveries})
    return [(victim, [recovery for recovery in recoveries if recovery.fault.victim == victim]) for victim in victims]


def _median(recoveries: list[Recovery]) -> float:
    return round(statistics.median([recovery.seconds for recovery in recoveries] or [0.0]), 2)


def _worst(recoveries: list[Recovery]) -> float:
    return round(max((recovery.seconds for recovery in recoveries), default=0.0), 2)


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
