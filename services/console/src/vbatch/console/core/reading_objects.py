"""Objects of the API for reading answers: how they divide, and how far a search came."""

from __future__ import annotations

import msgspec


class Search(msgspec.Struct, frozen=True):
    hits: int
    searched_bytes: int
    total_bytes: int
    next: str | None

    @property
    def percent(self) -> int:
        return 100 * self.searched_bytes // self.total_bytes if self.total_bytes else 100


class FacetValue(msgspec.Struct, frozen=True):
    value: str | None
    count: int


class Facets(msgspec.Struct, frozen=True):
    models: tuple[FacetValue, ...]
    finish_reasons: tuple[FacetValue, ...]
    json_count: int
    text_count: int
