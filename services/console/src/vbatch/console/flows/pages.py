"""What each page shows, read from the API: all questions are sent at once, and one that fails is reported on its
own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from vbatch.console.core import api_objects as api, views
from vbatch.console.core.answer_parts import Shape
from vbatch.console.core.conversations import Conversation, conversation_of
from vbatch.console.core.curation_objects import Judgement
from vbatch.console.core.device_lanes import tried_of, wanted_change
from vbatch.console.core.family_objects import Fanout, Manifest
from vbatch.console.core.judging import LOCAL_JUDGE
from vbatch.console.core.selection import asked, selection_of
from vbatch.console.ports import Api, ApiRefused, ApiUnreachable

SHOWN_MAX = 100
ENDED_SHOWN = 5
FIRST_ANSWERS = 5
BATCHES_A_PAGE = 25
LINES_A_PAGE = 100
EVENTS_A_PAGE = 50
FILES_A_PAGE = 50
MILESTONES_MAX = 200
JUDGEMENTS_SHOWN = 100
FANOUT = "fanout"
"""The field of the stream's address that names the fan-out of a page."""

T = TypeVar("T")
Clock = Callable[[], float]
"""Unix seconds."""


@dataclass(frozen=True, slots=True)
class PageParams:
    """The part of a page's address that decides what the page shows."""

    batch_id: str = ""
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchesView:
    page: api.BatchPage
    query: Mapping[str, str]
    as_of: int


@dataclass(frozen=True, slots=True)
class HeadView:
    """The head of every page of a batch."""

    batch: api.Batch
    as_of: int


@dataclass(frozen=True, slots=True)
class OverviewView:
    """`why` is None for a batch that is over, or while the scheduler does not answer; `check` has the faulty lines of a
    rejected file, if the file still exists. `family` holds the batch, the batch that it retries, and its retries."""

    batch: api.Batch
    why: api.Why | None
    faults: api.FaultKinds
    series: api.Series
    milestones: tuple[views.Milestone, ...]
    first: api.LinePage
    family: tuple[api.Batch, ...]
    check: api.FileCheck | None
    as_of: int


@dataclass(frozen=True, slots=True)
class AnswersView:
    batch: api.Batch
    lines: api.LinePage
    query: Mapping[str, str]
    as_of: int


@dataclass(frozen=True, slots=True)
class EventsView:
    """`batch` is None on the page of all events."""

    batch: api.Batch | None
    page: api.EventPage
    query: Mapping[str, str]
    as_of: int


@dataclass(frozen=True, slots=True)
class DetailsView:
    batch: api.Batch
    json: str
    manifest: Manifest
    as_of: int


@dataclass(frozen=True, slots=True)
class LineView:
    """`judge` is the name under which this visitor judges."""

    batch: api.Batch
    line: int
    conversation: Conversation
    shape: Shape
    judgements: tuple[Judgement, ...]
    judge: str
    as_of: int


@dataclass(frozen=True, slots=True)
class FanoutView:
    fanout: Fanout
    as_of: int


@dataclass(frozen=True, slots=True)
class ModelsView:
    models: tuple[api.Model, ...]
    runners: tuple[api.Runner, ...]
    as_of: int


@dataclass(frozen=True, slots=True)
class FilesView:
    page: api.FilePage
    query: Mapping[str, str]
    as_of: int


async def hub(source: Api, _ask: PageParams, now: int) -> views.Hub:
    server, runners, unfinished, ended = await asyncio.gather(
        source.server(),
        source.runners(),
        source.batches({"status": views.UNFINISHED, "limit": str(SHOWN_MAX)}),
        source.batches({"status": views.ENDED, "limit": str(ENDED_SHOWN)}),
    )
    return views.hub_of(server, runners.data, unfinished, ended.data, now)


async def queue(source: Api, params: PageParams, now: int) -> views.QueueView:
    runners = (await source.runners()).data
    try:
        told, page = await asyncio.gather(
            source.queue(), source.batches({"status": views.UNFINISHED, "limit": str(SHOWN_MAX)})
        )
    except ApiRefused as error:
        if error.status != 503:
            raise
        return views.QueueView((), None, runners, None, now, error.message)
    view = views.queue_of(told, {batch.id: batch for batch in page.data}, runners, now)
    wanted = wanted_change(params.query)
    changed = await _or_none(source.what_if(wanted.batch_id, wanted.priority)) if wanted is not None else None
    if wanted is None or changed is None:
        return view
    return replace(view, tried=tried_of(wanted, told, changed, {batch.id: batch.name for batch in page.data}))


async def batches(source: Api, params: PageParams, now: int) -> BatchesView:
    names = ("after", "status", "created_after", "created_before")
    query = {name: params.query[name] for name in names if params.query.get(name)}
    query |= {name: value for name, value in params.query.items() if name.startswith("metadata[") and value}
    return BatchesView(await source.batches(query | {"limit": str(BATCHES_A_PAGE)}), query, now)


async def head(source: Api, params: PageParams, now: int) -> HeadView:
    return HeadView(await source.batch(params.batch_id), now)


async def overview(source: Api, params: PageParams, now: int) -> OverviewView:
    batch = await source.batch(params.batch_id)
    why, faults, series, events, (first, family), check = await asyncio.gather(
        _or_none(source.why(batch.id)) if not batch.is_over else _nothing(),
        source.faults(batch.id),
        source.series(batch.id),
        source.events({"batch_id": batch.id, "limit": str(MILESTONES_MAX)}),
        asyncio.gather(source.lines(batch.id, {"limit": str(FIRST_ANSWERS)}), source.family(batch.id)),
        _or_none(source.check(batch.input_file_id, batch.endpoint)) if batch.failed_at else _nothing(),
    )
    story = tuple(views.milestones(events.data))
    return OverviewView(batch, why, faults, series, story, first, family.data, check, now)


async def answers(source: Api, params: PageParams, now: int) -> AnswersView:
    query = selection_of(params.query)
    batch, lines = await asyncio.gather(
        source.batch(params.batch_id), source.lines(params.batch_id, asked(query) | {"limit": str(LINES_A_PAGE)})
    )
    return AnswersView(batch, lines, query, now)


async def batch_events(source: Api, params: PageParams, now: int) -> EventsView:
    query = {name: params.query[name] for name in ("before", "detail") if params.query.get(name)}
    wanted = query | {"batch_id": params.batch_id, "limit": str(EVENTS_A_PAGE)}
    batch, page = await asyncio.gather(source.batch(params.batch_id), source.events(wanted))
    return EventsView(batch, page, query, now)


async def details(source: Api, params: PageParams, now: int) -> DetailsView:
    batch, raw, manifest = await asyncio.gather(
        source.batch(params.batch_id), source.batch_json(params.batch_id), source.manifest(params.batch_id)
    )
    return DetailsView(batch, raw.decode(errors="replace"), manifest, now)


async def line(source: Api, batch_id: str, number: int, shape: Shape, now: int) -> LineView:
    asked = {"batch_id": batch_id, "line": str(number), "order": "desc", "limit": str(JUDGEMENTS_SHOWN)}
    batch, detail, said, me = await asyncio.gather(
        source.batch(batch_id), source.line(batch_id, number), source.curation.judgements(asked), source.me()
    )
    about = tuple(each for each in said.data if each.vote is None)
    return LineView(batch, number, conversation_of(detail), shape, about, me.key_id or LOCAL_JUDGE, now)


async def fanout(source: Api, params: PageParams, now: int) -> FanoutView:
    return FanoutView(await source.fanout(params.query.get(FANOUT, "")), now)


async def models(source: Api, _ask: PageParams, now: int) -> ModelsView:
    registry, runners = await asyncio.gather(source.registry(), source.runners())
    return ModelsView(registry.data, runners.data, now)


async def files(source: Api, params: PageParams, now: int) -> FilesView:
    query = {name: params.query[name] for name in ("after", "purpose") if params.query.get(name)}
    return FilesView(await source.files(query | {"limit": str(FILES_A_PAGE)}), query, now)


async def events(source: Api, params: PageParams, now: int) -> EventsView:
    query = {name: params.query[name] for name in ("before", "aggregate", "detail") if params.query.get(name)}
    return EventsView(None, await source.events(query | {"limit": str(EVENTS_A_PAGE)}), query, now)


async def _or_none(question: Awaitable[T]) -> T | None:
    """Return the scheduler's answer; None if it does not answer."""
    try:
        return await question
    except (ApiRefused, ApiUnreachable):
        return None


async def _nothing() -> None:
    return None
