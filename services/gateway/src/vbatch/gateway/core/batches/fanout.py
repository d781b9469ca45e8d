"""A fan-out: every line of a file runs on several models, each in a batch of its own; and its answers side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Literal

import msgspec
from msgspec.structs import replace
from pydantic import BaseModel

from vbatch.contracts import events as e
from vbatch.contracts.ids import FanoutId, ModelId, fanout_batch_id, fanout_id_of
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.core.views import BatchObject, RequestCountsObject


class FanoutObject(BaseModel):
    """The batches of one fan-out, one for each model. `request_counts` is their sum."""

    id: str
    object: Literal["fanout"] = "fanout"
    created_at: int
    input_file_id: str
    endpoint: str
    models: list[str]
    is_over: bool
    request_counts: RequestCountsObject
    batches: list[BatchObject]


class AnswerLine(msgspec.Struct, frozen=True):
    """An output line, whose values keep their bytes."""

    id: msgspec.Raw
    custom_id: str
    response: msgspec.Raw
    error: msgspec.Raw


class ModelAnswer(msgspec.Struct, frozen=True):
    """An output line without its `custom_id`."""

    id: msgspec.Raw
    response: msgspec.Raw
    error: msgspec.Raw


class FanoutLine(msgspec.Struct, frozen=True):
    """All answers to one request, by model; null where there is none yet."""

    custom_id: str
    answers: dict[str, ModelAnswer | None]


_LINE = msgspec.json.Decoder(AnswerLine)


def fanned_out(created: e.BatchCreated, models: Sequence[ModelId]) -> list[e.BatchCreated]:
    """The batch for each model, the given one first; the batch itself if there are no models."""
    if not models:
        return [created]
    fanout_id = fanout_id_of(created.batch_id, models)
    ids = [created.batch_id, *(fanout_batch_id(created.batch_id, model) for model in models[1:])]
    return [
        replace(created, batch_id=batch_id, fanout_id=fanout_id, model=model)
        for batch_id, model in zip(ids, models, strict=True)
    ]


def models_of(batches: Iterable[BatchRecord]) -> list[str]:
    return [batch.asked_model or "" for batch in batches]


def fanout_view(fanout_id: FanoutId, batches: Sequence[BatchRecord], views: list[BatchObject]) -> FanoutObject:
    first = batches[0]
    return FanoutObject(
        id=fanout_id,
        created_at=int(first.created_at.timestamp()),
        input_file_id=first.input_file_id,
        endpoint=first.endpoint,
        models=models_of(batches),
        is_over=all(batch.is_over for batch in batches),
        request_counts=RequestCountsObject(
            total=sum(batch.counts.total for batch in batches),
            completed=sum(batch.counts.completed for batch in batches),
            failed=sum(batch.counts.failed for batch in batches),
        ),
        batches=views,
    )


def fanout_lines(models: Sequence[str], answers: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """Yield one line for each `custom_id`. `answers` are output lines, each with the index of its model; the answers to
    one request must follow each other."""
    parsed = ((model, _LINE.decode(line)) for model, line in answers)
    named = ((answer.custom_id, model, answer) for model, answer in parsed)
    for custom_id, group in groupby(named, key=lambda answer: answer[0]):
        found: dict[str, ModelAnswer | None] = dict.fromkeys(models)
        found |= {models[model]: ModelAnswer(line.id, line.response, line.error) for _, model, line in group}
        yield msgspec.json.encode(FanoutLine(custom_id, found)) + b"\n"
