"""The objects that describe the state of the server: the caller, its services, its runners, its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel

from vbatch.contracts import events as e
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import ArgumentValue, ModelDefinition
from vbatch.gateway.core.runner_drains import Drained, DrainObject, drain_view

LOWERED_KEPT_MAX = 20


class ServiceState(StrEnum):
    READY = "ready"
    NOT_READY = "not_ready"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """What one service reported of itself, or why it did not answer."""

    name: str
    state: ServiceState
    detail: str
    checked_at: datetime


@dataclass(frozen=True, slots=True)
class RunnerRecord:
    id: str
    state: str
    device: str
    memory_bytes: int
    model: str | None
    request_window: int
    detail: str
    since: datetime


@dataclass(frozen=True, slots=True)
class DefinedModel:
    definition: ModelDefinition
    registered_at: datetime


@dataclass(frozen=True, slots=True)
class LoadHistory:
    """How the loads of one model went: the last successful one, the last failed one, and what was lowered since it was
    loaded."""

    load_count: int = 0
    loaded_at: datetime | None = None
    load_seconds: float | None = None
    request_window: int | None = None
    failed_at: datetime | None = None
    failure: str | None = None
    lowered: tuple[str, ...] = ()


class ServiceObject(BaseModel):
    name: str
    state: ServiceState
    detail: str
    checked_at: int


class ServerObject(BaseModel):
    object: Literal["server"] = "server"
    version: str
    is_ready: bool
    services: list[ServiceObject]


class RunnerObject(BaseModel):
    """`state` is idle, loading, ready, failed, crashed or stopped; `since` is when that state began. `drain` is null
    for a runner that takes work."""

    object: Literal["runner"] = "runner"
    id: str
    state: str
    device: str
    memory_bytes: int
    model: str | None
    request_window: int
    detail: str
    since: int
    drain: DrainObject | None


class RunnerList(BaseModel):
    object: Literal["list"] = "list"
    data: list[RunnerObject]


class LoadHistoryObject(BaseModel):
    load_count: int
    loaded_at: int | None
    load_seconds: float | None
    request_window: int | None
    failed_at: int | None
    failure: str | None
    lowered: list[str]


class RegisteredModelObject(BaseModel):
    """A model of models.toml. The values of its environment are not shown, because they may be secrets."""

    object: Literal["registered_model"] = "registered_model"
    id: str
    engine: str
    source: str | None
    endpoints: list[str]
    max_num_seqs: int
    arguments: dict[str, ArgumentValue]
    environment_names: list[str]
    registered_at: int
    loads: LoadHistoryObject


class RegistryObject(BaseModel):
    object: Literal["list"] = "list"
    data: list[RegisteredModelObject]


class FileFaultObject(BaseModel):
    """`text` is the beginning of the line at fault; null for a fault of the file itself."""

    code: str
    line: int | None
    message: str
    param: str | None
    text: str | None


class FileCheckObject(BaseModel):
    """Whether the file could become a batch. Of `fault_count` faults the first 200 are listed. `work_seconds` is the
    time on one idle device, without the load of the model."""

    object: Literal["file.check"] = "file.check"
    file_id: str
    endpoint: str
    is_fit: bool
    requests: int
    model: str | None
    work_seconds: float | None
    is_guess: bool
    fault_count: int
    faults: list[FileFaultObject]


def service_view(report: ServiceReport) -> ServiceObject:
    return ServiceObject(
        name=report.name, state=report.state, detail=report.detail, checked_at=int(report.checked_at.timestamp())
    )


def runner_view(runner: RunnerRecord, drained: Drained | None) -> RunnerObject:
    return RunnerObject(
        id=runner.id,
        state=runner.state,
        device=runner.device,
        memory_bytes=runner.memory_bytes,
        model=runner.model,
        request_window=runner.request_window,
        detail=runner.detail,
        since=int(runner.since.timestamp()),
        drain=drain_view(drained),
    )


def registry_view(models: Sequence[DefinedModel], loads: Mapping[ModelId, LoadHistory]) -> RegistryObject:
    return RegistryObject(data=[_model_view(model, loads.get(model.definition.id, LoadHistory())) for model in models])


def after_load(history: LoadHistory, event: e.Event) -> LoadHistory:
    """Return the history of a model after an event; only events of its loads change it."""
    match event:
        case e.ModelLoaded():
            return replace(
                history,
                load_count=history.load_count + 1,
                loaded_at=event.at,
                load_seconds=event.seconds,
                request_window=event.window,
            )
        case e.ModelFailed():
            return replace(history, failed_at=event.at, failure=event.detail)
        case e.ProfileLowered():
            step = f"{event.argument} from {event.before} to {event.after}"
            return replace(history, lowered=(*history.lowered, step)[-LOWERED_KEPT_MAX:])
        case _:
            return history


def _model_view(model: DefinedModel, loads: LoadHistory) -> RegisteredModelObject:
    definition = model.definition
    return RegisteredModelObject(
        id=definition.id,
        engine=definition.engine.value,
        source=_source(definition),
        endpoints=list(definition.endpoints),
        max_num_seqs=definition.max_num_seqs,
        arguments=dict(definition.arguments),
        environment_names=sorted(definition.environment),
        registered_at=int(model.registered_at.timestamp()),
        loads=LoadHistoryObject(
            load_count=loads.load_count,
            loaded_at=_seconds(loads.loaded_at),
            load_seconds=loads.load_seconds,
            request_window=loads.request_window,
            failed_at=_seconds(loads.failed_at),
            failure=loads.failure,
            lowered=list(loads.lowered),
        ),
    )


def _source(definition: ModelDefinition) -> str | None:
    """Return where the model comes from; URLs without the names and passwords they may hold."""
    if definition.urls:
        return " ".join(map(_plain_url, definition.urls))
    return definition.hub or definition.package or definition.folder


def _plain_url(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _seconds(at: datetime | None) -> int | None:
    return int(at.timestamp()) if at is not None else None
