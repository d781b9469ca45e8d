"""Pages of the event log: their params, which events an owner sees, and how an event is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from pydantic import BaseModel, JsonValue

from vbatch.contracts import events as e
from vbatch.contracts.catalogue import BY_CE_TYPE, KINDS, EventKind
from vbatch.contracts.codec import CE_TYPE
from vbatch.contracts.event_text import event_text
from vbatch.contracts.message import Recorded
from vbatch.gateway.core.live_events import SEQUENCE_MAX, event_body
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.core.shapes import integer_between, integer_of_text

EVENTS_DEFAULT, EVENTS_MAX = 50, 200
CHUNK = "batch.chunk_completed"
FREQUENT = frozenset(
    {CHUNK, "batch.dispatched", "upload.part_added", "judgement.recorded", "judgement.compared", "judgement.withdrawn"}
)
"""There may be thousands of these events per batch; they are shown only if all events are requested."""
AGGREGATES = (
    "file",
    "upload",
    "batch",
    "judgement",
    "dataset",
    "labeling",
    "evaluation",
    "runner",
    "scheduler",
    "results",
    "model",
    "queue",
)
"""What owners may see. Events of keys, quotas, limits, webhooks and dead letters are shown to administrators, by the
audit."""
NAMES_ITS_OWNER = frozenset({"judgement", "dataset", "labeling", "evaluation"})
"""Every event of these aggregates names its owner."""
OF_THE_SERVER = frozenset({"runner", "scheduler", "results", "model", "queue"})
"""Events of these aggregates belong to no owner: every caller that may use the server sees them."""


class EventObject(BaseModel):
    """One event of the log. `sentence` is for people, `data` is the body; the body of a chunk comes without its
    answers."""

    object: str = "event"
    sequence: int
    type: str
    at: float
    aggregate: str
    aggregate_id: str
    sentence: str
    data: dict[str, JsonValue]


class EventPage(BaseModel):
    """Newest first. To get the next page, pass `next_before` as `before`; it is null when the log holds nothing
    older."""

    object: str = "list"
    data: list[EventObject]
    has_more: bool
    next_before: int | None


@dataclass(frozen=True, slots=True)
class EventsParams:
    """At most `limit` events before a sequence: of one batch or of these aggregates, with or without the frequent
    events."""

    limit: int = EVENTS_DEFAULT
    before: int = SEQUENCE_MAX
    batch_id: str | None = None
    aggregates: frozenset[str] = frozenset(AGGREGATES)
    has_frequent: bool = False

    @property
    def kinds(self) -> list[EventKind]:
        return [
            kind
            for kind in KINDS
            if kind.aggregate in self.aggregates and (self.has_frequent or kind.name not in FREQUENT)
        ]

    def wants(self, record: Recorded) -> bool:
        kind = kind_of(record)
        return (
            kind is not None and kind.aggregate in self.aggregates and (self.has_frequent or kind.name not in FREQUENT)
        )


class ShownEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`EventObject` as it is sent: the bytes of its body stay unchanged."""

    object: str = "event"
    sequence: int
    type: str
    at: float
    aggregate: str
    aggregate_id: str
    sentence: str
    data: msgspec.Raw


def parse_events_params(query: Mapping[str, str]) -> EventsParams:
    """Parse the query. Raises Refusal."""
    return EventsParams(
        limit=_number(query, "limit", EVENTS_DEFAULT, 1, EVENTS_MAX),
        before=_number(query, "before", SEQUENCE_MAX, 1, SEQUENCE_MAX),
        batch_id=query.get("batch_id"),
        aggregates=_aggregates(query),
        has_frequent=_has_frequent(query),
    )


def shown(record: Recorded, event: e.AnyEvent) -> ShownEvent:
    kind = BY_CE_TYPE.get(record.headers.get(CE_TYPE, ""))
    _, aggregate, aggregate_id, tail = record.subject.split(".", 3)
    return ShownEvent(
        sequence=record.sequence,
        type=kind.name if kind else f"{aggregate}.{tail}",
        at=_seconds(record.recorded_at),
        aggregate=aggregate,
        aggregate_id=aggregate_id,
        sentence=event_text(event),
        data=msgspec.Raw(event_body(event)),
    )


def page_of_events(events: Sequence[ShownEvent], next_before: int | None) -> bytes:
    """Return an `EventPage` as JSON."""
    return msgspec.json.encode(
        {"object": "list", "data": list(events), "has_more": next_before is not None, "next_before": next_before}
    )


def owner_named_in(event: e.AnyEvent) -> str | None:
    """Return the owner that the event itself names; None if it names none."""
    match event:
        case e.FileStored() | e.FileDeleted() | e.UploadCreated() | e.BatchCreated():
            return event.owner
        case e.CurationEvent() | e.LabelingEvent() | e.EvaluationEvent():
            return event.owner
        case _:
            return None


def kind_of(record: Recorded) -> EventKind | None:
    """Return the kind of an event; an older version counts as the newest. None for an event that this version of the
    server does not know."""
    name = record.headers.get(CE_TYPE, "").rsplit(".v", 1)[0].removeprefix("vbatch.")
    return _BY_NAME.get(name)


_BY_NAME: Mapping[str, EventKind] = {kind.name: kind for kind in KINDS}


def subject_filter(kind: EventKind, aggregate_id: str = "*") -> str:
    return f"evt.{kind.aggregate}.{aggregate_id}.{kind.place or kind.name.split('.')[1]}"


def _aggregates(query: Mapping[str, str]) -> frozenset[str]:
    """Parse one or several aggregates, separated by commas."""
    if "aggregate" not in query:
        return frozenset(AGGREGATES)
    wanted = frozenset(query["aggregate"].split(","))
    if not wanted <= set(AGGREGATES):
        quoted = [f"'{name}'" for name in AGGREGATES]
        words = f"Supported values are: {', '.join(quoted[:-1])}, and {quoted[-1]}."
        raise Refusal(Reason.VALUE_INVALID, f"Invalid value: '{query['aggregate']}'. {words}", "aggregate")
    return wanted


def _has_frequent(query: Mapping[str, str]) -> bool:
    value = query.get("detail", "milestones")
    if value not in ("milestones", "all"):
        message = f"Invalid value: '{value}'. Supported values are: 'milestones', and 'all'."
        raise Refusal(Reason.VALUE_INVALID, message, "detail")
    return value == "all"


def _number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    return integer_between(integer_of_text(query[name], name), name, least, most) if name in query else default


def _seconds(at: datetime) -> float:
    return round(at.timestamp(), 3)
