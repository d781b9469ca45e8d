"""When batches would start and end if nothing new arrived: the policy is asked for one choice after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec import structs

from vbatch.contracts.ids import BatchId, ModelId
from vbatch.scheduler.core.policy.placement import Holder, sooner_here
from vbatch.scheduler.core.policy.policy import Candidate, Policy, View

WEIGHED_MAX = 60_000
"""How many candidates are weighed over all choices, about 0.2 s: more would hold up the scheduler. The remaining
batches get no forecast."""
STAYS = 200
"""The number of stays of a model into which the work is cut when slices would be finer than that."""
SLICE_SECONDS = 120.0
"""The minimum length of a simulated stay."""


@dataclass(slots=True)
class SimulatedRun:
    """The simulated run of one batch, in seconds since 1970; `reason` is why the policy first chooses it."""

    starts: float
    work: float
    error: float
    reason: str = ""
    ends: float | None = None
    served_until: float = 0.0
    """The latest end so far: with several devices, the stay that begins last does not always end last."""


@dataclass(frozen=True, slots=True)
class SimulatedStay:
    """A model on a device, in seconds since 1970: loaded from `loads`, serving from `starts` to `ends`."""

    model: ModelId
    loads: float
    starts: float
    ends: float


@dataclass(frozen=True, slots=True)
class Simulated:
    """The batches whose start the simulation reaches, and the stays on each device, in the order of the views."""

    runs: Mapping[BatchId, SimulatedRun]
    stays: Sequence[Sequence[SimulatedStay]]


def simulate(views: Sequence[View], policy: Policy) -> Simulated:
    """`views` has one view for each device."""
    devices = [_Device(view) for view in views]
    ahead = _Simulation(
        list(devices), {candidate.batch_id: candidate for view in views for candidate in view.candidates}
    )
    ahead.go(policy)
    return Simulated(ahead.runs, [device.stays for device in devices])


@dataclass(slots=True)
class _Device:
    """One simulated device; `models` are the models it can load."""

    view: View
    models: frozenset[ModelId] = field(init=False)
    stays: list[SimulatedStay] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.models = frozenset(candidate.model for candidate in self.view.candidates)

    def work(self, model: ModelId, seconds: float) -> None:
        view = self.view
        self._stay(model, view.now, view.now + view.swap(model), seconds)
        resident = seconds if model != view.loaded else view.resident + seconds
        self.view = replace(view, now=view.now + view.swap(model) + seconds, loaded=model, resident=resident)

    def _stay(self, model: ModelId, loads: float, starts: float, seconds: float) -> None:
        """Work of the model that is there already makes its stay longer."""
        if self.stays and loads == starts and self.stays[-1].model == model:
            self.stays[-1] = replace(self.stays[-1], ends=starts + seconds)
        else:
            self.stays.append(SimulatedStay(model, loads, starts, starts + seconds))


@dataclass(slots=True)
class _Simulation:
    """Devices that run independently; the one that is free first acts next. It chooses a stay among all waiting work,
    and the batches of the stay among those of its model."""

    devices: list[_Device]
    left: dict[BatchId, Candidate]
    runs: dict[BatchId, SimulatedRun] = field(default_factory=dict)
    weighed: int = 0

    def go(self, policy: Policy) -> None:
        stays = min(STAYS, max(1, WEIGHED_MAX // (2 * max(1, len(self.left)))))
        seconds = max(SLICE_SECONDS, sum(candidate.work for candidate in self.left.values()) / stays)
        while self.devices:
            device = min(self.devices, key=lambda device: device.view.now)
            if not self._stay(policy, device, seconds):
                self.devices.remove(device)

    def _stay(self, policy: Policy, device: _Device, seconds: float) -> bool:
        """Simulate one stay; return whether there was work for this device."""
        waiting = [candidate for candidate in self.left.values() if candidate.model in device.models]
        first = self._choose(policy, device, waiting, seconds)
        if first is None:
            return False
        until = device.view.now + seconds - min(seconds, first.work)
        while device.view.now < until:
            family = [candidate for candidate in self.left.values() if candidate.model == first.model]
            if self._choose(policy, device, family, until - device.view.now) is None:
                break
        return True

    def _choose(
        self, policy: Policy, device: _Device, candidates: Sequence[Candidate], seconds: float
    ) -> Candidate | None:
        """Serve what the policy chooses from the candidates, for at most `seconds`."""
        self.weighed += len(candidates)
        if not candidates or self.weighed > WEIGHED_MAX:
            return None
        offered = replace(device.view, candidates=candidates)
        choice = policy(
            sooner_here(offered, self._holders_beside(device), lambda candidate: min(candidate.work, seconds))
        )
        if choice is None:
            return None
        chosen = self.left[choice.batch_id]
        self._serve(device, chosen, choice.reason, seconds)
        return chosen

    def _holders_beside(self, device: _Device) -> list[Holder]:
        others = ((other.view.loaded, other.view.now) for other in self.devices if other is not device)
        return [Holder(model, now) for model, now in others if model is not None]

    def _serve(self, device: _Device, candidate: Candidate, reason: str, seconds: float) -> None:
        starts, served = device.view.now + device.view.swap(candidate.model), min(candidate.work, seconds)
        run = self.runs.setdefault(candidate.batch_id, SimulatedRun(starts, candidate.work, candidate.error, reason))
        run.served_until = max(run.served_until, starts + served)
        if served < candidate.work:
            self.left[candidate.batch_id] = structs.replace(candidate, work=candidate.work - served, has_run=True)
        else:
            del self.left[candidate.batch_id]
            run.ends = run.served_until
        device.work(candidate.model, served)
