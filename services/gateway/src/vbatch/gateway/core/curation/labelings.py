"""Labelings: their params, how answers are chosen, and the items that Label Studio gets."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, assert_never

import msgspec
from pydantic import BaseModel

from vbatch.contracts.bounds import fits
from vbatch.contracts.curation import BATCHES_COUNT_MAX, EDITED_BYTES_MAX
from vbatch.contracts.ids import BatchId, LabelingId, is_batch_id
from vbatch.contracts.labeling import (
    ITEMS_MAX,
    LABELS_COUNT_MAX,
    LabelingAnswer,
    LabelingItem,
    LabelingTemplate,
)
from vbatch.contracts.limits import WORD_BYTES_MAX
from vbatch.contracts.previews import Json
from vbatch.gateway.core.curation.doubts import Doubts, Order, doubt_of, is_doubtful, urgency
from vbatch.gateway.core.curation.examples import Exchange
from vbatch.gateway.core.curation.values import one_of, text_within, word, words
from vbatch.gateway.core.keys import printable
from vbatch.gateway.core.refusals import Reason, Refusal, no_such_batch, parameter_missing
from vbatch.gateway.core.shapes import integer, integer_between, json_object

TITLE_CHARS_MAX = 50
"""The limit of a project's title in Label Studio."""
REQUEST_ID_BYTES_MAX = 128
SEED_MAX = 2**31 - 1
PROJECT_MAX = 2**53 - 1


NO_DOUBTS: Doubts = {}


class Stratum(StrEnum):
    """The property over whose values a sample is spread evenly."""

    NONE = "none"
    MODEL = "model"
    LENGTH = "length"
    """The length of the answer, in quarters of the answers that can be chosen."""


@dataclass(frozen=True, slots=True)
class LabelingParams:
    """`sample` answers, or pairs, of those that match; None takes all. Without a template the answers decide which one
    is used."""

    batch_ids: tuple[BatchId, ...]
    request_id: str | None
    title: str | None
    template: LabelingTemplate | None
    sample: int | None
    stratum: Stratum
    seed: int
    model: str | None
    custom_id: str | None
    is_unjudged: bool
    project_id: int | None
    order: Order = Order.DRAWN
    embeddings: BatchId | None = None
    """The batch with the embeddings of the answers, for the order of outliers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelingRecord:
    id: LabelingId
    title: str
    template: LabelingTemplate
    batch_ids: tuple[str, ...]
    item_count: int
    pushed_count: int
    project_id: int | None
    failure: str | None
    created_at: datetime


class LabelingObject(BaseModel):
    """Answers that are handed to Label Studio. `status` is `waiting`, `pushing`, `pushed` or `failed`."""

    id: str
    object: Literal["labeling"] = "labeling"
    title: str
    template: LabelingTemplate
    batch_ids: list[str]
    status: str
    item_count: int
    pushed_count: int
    project_id: int | None
    failure: str | None
    created_at: int


class LabelingList(BaseModel):
    """Newest first."""

    object: Literal["list"] = "list"
    data: list[LabelingObject]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The items that Label Studio gets."""

    template: LabelingTemplate
    items: list[LabelingItem]
    labels: tuple[str, ...] = ()


def parse_labeling_params(raw: bytes) -> LabelingParams:
    """Parse the body. Raises Refusal."""
    body = json_object(raw, required=("batch_ids",), optional=_OPTIONAL)
    given = {key: value for key, value in body.items() if value is not None}
    sample, project = given.get("sample"), given.get("project_id")
    title = given.get("title")
    template = given.get("template")
    batch_ids = asked_batch_ids(given["batch_ids"])
    order = one_of(given.get("order", "drawn"), tuple(Order), "order")
    return LabelingParams(
        batch_ids=batch_ids,
        request_id=text_within(given["request_id"], "request_id", REQUEST_ID_BYTES_MAX)
        if "request_id" in given
        else None,
        title=None if title is None else printable(title, "title", TITLE_CHARS_MAX),
        template=None if template is None else one_of(template, tuple(LabelingTemplate), "template"),
        sample=None if sample is None else integer_between(integer(sample, "sample"), "sample", 1, ITEMS_MAX),
        stratum=one_of(given.get("stratum", "none"), tuple(Stratum), "stratum"),
        seed=integer_between(integer(given.get("seed", 0), "seed"), "seed", 0, SEED_MAX),
        model=word(given["model"], "model") if "model" in given else None,
        custom_id=word(given["custom_id"], "custom_id") if "custom_id" in given else None,
        is_unjudged=given.get("unjudged", False) is True,
        project_id=None
        if project is None
        else integer_between(integer(project, "project_id"), "project_id", 1, PROJECT_MAX),
        order=order,
        embeddings=_asked_embeddings(given.get("embeddings"), order, batch_ids),
    )


def no_such_labeling(labeling_id: str) -> Refusal:
    return Refusal(Reason.NO_SUCH_LABELING, f"No labeling found with id '{labeling_id}'.", "labeling_id")


def labeling_view(record: LabelingRecord) -> LabelingObject:
    return LabelingObject(
        id=record.id,
        title=record.title,
        template=record.template,
        batch_ids=list(record.batch_ids),
        status=_status(record),
        item_count=record.item_count,
        pushed_count=record.pushed_count,
        project_id=record.project_id,
        failure=record.failure,
        created_at=int(record.created_at.timestamp()),
    )


def chosen_items(
    exchanges: Sequence[Exchange], params: LabelingParams, revisions: Mapping[str, str], doubts: Doubts = NO_DOUBTS
) -> Chosen:
    """Return the answers, or pairs, to judge. `revisions` has the version of each model. Raises Refusal if nothing
    matches."""
    fitting = [each for each in exchanges if _fits(each, params)]
    template = params.template or _fitting_template(fitting, params)
    if template is LabelingTemplate.PAIRWISE:
        pairs = _sampled(_pairs(fitting, params.seed), params, doubts)
        items = [_item(a, revisions, other=b) for a, b in pairs]
        labels: tuple[str, ...] = ()
    else:
        singles = _sampled([(each,) for each in fitting], params, doubts)
        labels = _labels(fitting) if template is LabelingTemplate.CLASSIFICATION else ()
        items = [_item(each, revisions, is_labelled=bool(labels)) for (each,) in singles]
    if template is LabelingTemplate.CLASSIFICATION and not labels:
        message = (
            "No request names its choices: a classification needs a JSON schema with an enum, or structured choices."
        )
        raise Refusal(Reason.VALUE_INVALID, message, "template")
    if not items:
        raise Refusal(Reason.VALUE_INVALID, "No answer fits: there is nothing to judge.", "batch_ids")
    if len(items) > ITEMS_MAX:
        message = f"{len(items):,} items fit; at most {ITEMS_MAX:,} are judged together. Ask for a 'sample'."
        raise Refusal(Reason.VALUE_INVALID, message, "sample")
    return Chosen(template, items, labels)


def model_versions(definitions: Sequence[tuple[str, bytes, str | None]]) -> dict[str, str]:
    """Return for each model, from its id, its definition and its revision: `model@revision`, or a digest of the
    definition."""
    return {
        model: f"{model}@{revision or hashlib.sha256(definition).hexdigest()[:8]}"
        for model, definition, revision in definitions
    }


_OPTIONAL = (
    "request_id",
    "title",
    "template",
    "sample",
    "stratum",
    "seed",
    "model",
    "custom_id",
    "unjudged",
    "project_id",
    "order",
    "embeddings",
)


def asked_batch_ids(value: object) -> tuple[BatchId, ...]:
    """Return at least one id. Raises Refusal."""
    ids = words(value, "batch_ids", BATCHES_COUNT_MAX)
    if not ids:
        raise parameter_missing("batch_ids")
    for batch_id in ids:
        if not is_batch_id(batch_id):
            raise no_such_batch(batch_id)
    return tuple(BatchId(batch_id) for batch_id in ids)


def _asked_embeddings(value: object, order: Order, batch_ids: Sequence[BatchId]) -> BatchId | None:
    """Return the batch of embeddings, which only the order of outliers needs. Raises Refusal."""
    if order is not Order.OUTLIER:
        if value is not None:
            raise Refusal(Reason.VALUE_INVALID, "'embeddings' is for the order 'outlier' only.", "embeddings")
        return None
    if value is None:
        raise parameter_missing("embeddings")
    if len(batch_ids) > 1:
        raise Refusal(Reason.VALUE_INVALID, "Outliers are among the answers of one batch.", "batch_ids")
    [batch_id] = asked_batch_ids([value])
    return batch_id


def _status(record: LabelingRecord) -> str:
    if record.failure is not None:
        return "failed"
    if record.pushed_count >= record.item_count:
        return "pushed"
    return "pushing" if record.project_id is not None else "waiting"


def _fits(exchange: Exchange, params: LabelingParams) -> bool:
    """Whether the exchange is a text that is small enough to edit, of the requested model and custom_id."""
    text = exchange.answer.content
    is_wanted = params.model in (None, exchange.model) and (params.custom_id or "") in exchange.custom_id
    return is_wanted and text is not None and fits(text, EDITED_BYTES_MAX)


def _fitting_template(exchanges: Sequence[Exchange], params: LabelingParams) -> LabelingTemplate:
    if len(params.batch_ids) > 1:
        return LabelingTemplate.PAIRWISE
    return LabelingTemplate.CLASSIFICATION if _labels(exchanges) else LabelingTemplate.CHAT


def _labels(exchanges: Sequence[Exchange]) -> tuple[str, ...]:
    """Return the choices of all requests, each once, in the order they appear; none if there are too many."""
    found = dict.fromkeys(choice for exchange in exchanges for choice in exchange.choices)
    labels = tuple(label for label in found if label.strip() and fits(label, WORD_BYTES_MAX))
    return labels if len(labels) <= LABELS_COUNT_MAX else ()


def _pairs(exchanges: Sequence[Exchange], seed: int) -> list[tuple[Exchange, Exchange]]:
    """Return, for each prompt, the first two answers of different batches or models; the seed decides which one is
    shown first."""
    by_prompt: dict[str, list[Exchange]] = {}
    for exchange in exchanges:
        by_prompt.setdefault(exchange.prompt_key, []).append(exchange)
    pairs = []
    for same in by_prompt.values():
        first = same[0]
        other = next((each for each in same[1:] if _origin(each) != _origin(first)), None)
        if other is not None and other.answer != first.answer:
            pairs.append((other, first) if _rank(first, seed)[0] % 2 else (first, other))
    return pairs


def _origin(exchange: Exchange) -> tuple[str, str]:
    return exchange.key.batch_id, exchange.model


def _sampled(
    candidates: Sequence[tuple[Exchange, ...]], params: LabelingParams, doubts: Doubts
) -> list[tuple[Exchange, ...]]:
    """Return that many items, the most doubtful first; or drawn by the seed, evenly from the strata, by batches and
    lines."""
    if params.order is not Order.DRAWN:
        return _most_doubtful(candidates, params, doubts)[: params.sample]
    if params.sample is None or params.sample >= len(candidates):
        return list(candidates)
    strata: dict[str, list[tuple[Exchange, ...]]] = {}
    lengths = sorted(len(each[0].answer.content or "") for each in candidates)
    for candidate in sorted(candidates, key=lambda each: _rank(each[0], params.seed)):
        strata.setdefault(_stratum(candidate[0], params.stratum, lengths), []).append(candidate)
    rounds = [(place, name) for name, members in strata.items() for place in range(len(members))]
    drawn = [strata[name][place] for place, name in sorted(rounds)[: params.sample]]
    return sorted(drawn, key=lambda each: (each[0].key.batch_id, each[0].key.line))


def _most_doubtful(
    candidates: Sequence[tuple[Exchange, ...]], params: LabelingParams, doubts: Doubts
) -> list[tuple[Exchange, ...]]:
    """Return only items whose doubt is known; the seed decides among equals."""
    known = [(doubt_of(doubts, [each.key for each in candidate]), candidate) for candidate in candidates]
    ranked = [
        (urgency(doubt, params.order), _rank(candidate[0], params.seed), candidate)
        for doubt, candidate in known
        if is_doubtful(doubt, params.order)
    ]
    return [candidate for _, _, candidate in sorted(ranked, key=lambda each: each[:2])]


def _stratum(exchange: Exchange, stratum: Stratum, lengths: Sequence[int]) -> str:
    match stratum:
        case Stratum.NONE:
            return ""
        case Stratum.MODEL:
            return exchange.model
        case Stratum.LENGTH:
            return str(4 * bisect_left(lengths, len(exchange.answer.content or "")) // len(lengths))
        case _:
            assert_never(stratum)


def _rank(exchange: Exchange, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}|{exchange.key.batch_id}|{exchange.key.line}".encode()).digest()


def _item(
    exchange: Exchange, revisions: Mapping[str, str], *, other: Exchange | None = None, is_labelled: bool = False
) -> LabelingItem:
    return LabelingItem(
        messages=[_message(message) for message in exchange.prompt],
        answer=_answer(exchange, revisions),
        other=None if other is None else _answer(other, revisions),
        label=_label(exchange) if is_labelled else None,
        label_field=exchange.label_field if is_labelled else "",
    )


def _message(raw: msgspec.Raw) -> Json:
    decoded = msgspec.json.decode(raw)
    return decoded if isinstance(decoded, dict) else {}


def _answer(exchange: Exchange, revisions: Mapping[str, str]) -> LabelingAnswer:
    return LabelingAnswer(
        batch_id=exchange.key.batch_id,
        line=exchange.key.line,
        custom_id=exchange.custom_id,
        model_version=revisions.get(exchange.model, exchange.model),
        text=exchange.answer.content or "",
    )


def _label(exchange: Exchange) -> str | None:
    """Return what the model answered; None if that is not one of the choices."""
    text = (exchange.answer.content or "").strip()
    if exchange.label_field:
        try:
            answer = msgspec.json.decode(text, type=dict[str, object])
        except msgspec.DecodeError:
            return None
        text = str(answer.get(exchange.label_field))
    return text if text in exchange.choices else None
