"""The events of runners and of the engines they run."""

from __future__ import annotations

from typing import Annotated

import msgspec

from vbatch.contracts import limits
from vbatch.contracts.bounds import Items
from vbatch.contracts.events.base import Event
from vbatch.contracts.ids import ModelId, RunnerId


class RunnerLeased(Event, frozen=True, kw_only=True):
    """A runner process took its device. The sequence of this event is its epoch. Older epochs are fenced."""

    runner_id: RunnerId
    device: limits.ShortText
    memory_bytes: int
    pid: int


class ProfileSetting(msgspec.Struct, frozen=True, kw_only=True):
    """One argument of an engine or, in capitals, a variable of its environment, and why it has this value."""

    name: limits.ShortText
    value: limits.ReasonText
    reason: limits.ReasonText


class ModelLoading(Event, frozen=True, kw_only=True):
    """The runner starts an engine with this model; the previous one is no longer on the device. `profile` holds
    everything that the engine is told, beginning with what the device chose for it; it is empty if the engine is told
    nothing."""

    runner_id: RunnerId
    epoch: int
    model: ModelId
    profile: Annotated[tuple[ProfileSetting, ...], Items(limits.PROFILE_SETTINGS_COUNT_MAX)] = ()


class EngineOrigin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an engine and its model come from; empty if it is not known. `engine` has its version, `source` is a
    package, a folder, a name on the hub or a URL, `revision` its version or commit. `weights_sha256` is the digest over
    the names and digests of all weights, `sampling_defaults` the JSON of the model's generation_config.json."""

    engine: limits.ShortText = ""
    source: limits.ReasonText = ""
    revision: limits.ShortText = ""
    weights_sha256: limits.Word = ""
    template_sha256: limits.Word = ""
    sampling_defaults: limits.ReasonText = ""


class ModelLoaded(Event, frozen=True, kw_only=True):
    """The engine answers. `seconds` is the time from the last request fed to the previous engine until this one is
    ready; `window` is how many requests may be inside the engine at once."""

    runner_id: RunnerId
    epoch: int
    model: ModelId
    seconds: float
    window: int
    origin: EngineOrigin = EngineOrigin()


class ModelFailed(Event, frozen=True, kw_only=True):
    """The engine did not start with this model. `detail` is the end of its own output."""

    runner_id: RunnerId
    epoch: int
    model: ModelId
    detail: limits.Detail


class EngineCrashed(Event, frozen=True, kw_only=True):
    """The engine died or fell silent while it served. `suspect_count` requests were inside it."""

    runner_id: RunnerId
    epoch: int
    model: ModelId
    detail: limits.Detail
    suspect_count: int


class ProfileLowered(Event, frozen=True, kw_only=True):
    """The engine ran out of memory and is started again with less: `argument` changed from `before` to `after`.

    `shortage` says which memory ran out: cache, device or host; `rung` counts the steps of this model from 1.
    """

    runner_id: RunnerId
    epoch: int
    model: ModelId
    rung: int
    shortage: limits.ShortText
    argument: limits.ShortText
    before: limits.ShortText
    after: limits.ShortText
    detail: limits.Detail


class ProfileTuned(Event, frozen=True, kw_only=True):
    """While it was idle, the runner measured the settings that matter most, because its device is unknown to it.
    `changes` apply from the next load of the model on; they are empty if what was in effect is the fastest.

    The rates are requests per second before and with the changes, `seconds` is the time that `trial_count` engines took
    together.
    """

    runner_id: RunnerId
    epoch: int
    model: ModelId
    device: limits.ShortText
    engine: limits.ShortText
    changes: Annotated[tuple[ProfileSetting, ...], Items(limits.PROFILE_SETTINGS_COUNT_MAX)]
    rate_before: float
    rate: float
    trial_count: int
    seconds: float


class ModelDemanded(Event, frozen=True, kw_only=True):
    """The scheduler has the runner load a model for clients that wait for its answers, or because it is pinned.

    The model on the device leaves at its next slice boundary; the new one then stays for at least `stay_seconds`.
    """

    runner_id: RunnerId
    epoch: int
    model: ModelId
    reason: limits.ReasonText
    stay_seconds: float


class RunnerStopped(Event, frozen=True, kw_only=True):
    """The runner process ends normally and returns everything it held."""

    runner_id: RunnerId
    epoch: int
    reason: limits.ReasonText


class RunnerLost(Event, frozen=True, kw_only=True):
    """The runner has not asked for its orders for `silent_seconds`: its process or machine is gone or cut off. The
    event is stored with the leases, so the epoch is fenced from here on; the runner's work runs elsewhere."""

    runner_id: RunnerId
    epoch: int
    silent_seconds: float


EngineEvent = ModelLoading | ModelLoaded | ModelFailed | EngineCrashed | ProfileLowered
RunnerEvent = RunnerLeased | EngineEvent | ProfileTuned | ModelDemanded | RunnerStopped | RunnerLost
