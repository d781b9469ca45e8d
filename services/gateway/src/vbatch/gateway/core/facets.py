"""How the answers of a batch divide: by model, by finish reason, by whether they are JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

FACETS_MAX = 500


@dataclass(frozen=True, slots=True)
class FacetRecord:
    """The number of answers with the same three values."""

    model: str | None
    finish_reason: str | None
    is_json: bool | None
    count: int


class FacetValue(BaseModel):
    """`value` is null for answers that name none."""

    value: str | None
    count: int


class FacetsObject(BaseModel):
    """Successful answers so far, by each value, most frequent first. `json_count` of them are an object or an array,
    `text_count` are another text; the others have no text."""

    object: str = "batch.facets"
    models: list[FacetValue]
    finish_reasons: list[FacetValue]
    json_count: int
    text_count: int


def facets_view(records: Sequence[FacetRecord]) -> FacetsObject:
    return FacetsObject(
        models=_counted(records, lambda record: record.model),
        finish_reasons=_counted(records, lambda record: record.finish_reason),
        json_count=sum(record.count for record in records if record.is_json),
        text_count=sum(record.count for record in records if record.is_json is False),
    )


def _counted(records: Sequence[FacetRecord], value: Callable[[FacetRecord], str | None]) -> list[FacetValue]:
    counts: Counter[str | None] = Counter()
    for record in records:
        counts[value(record)] += record.count
    return [FacetValue(value=each, count=count) for each, count in counts.most_common()]
