"""The filters and the order of a batch's answered lines, as far as the read model knows the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.core.shapes import integer_between, integer_of_text, looked_for

NUMBER_MAX = 2**31 - 1
DESCENDING = "-"


class LineOrder(StrEnum):
    """What lines are sorted by; lines with equal values follow in input order."""

    LINE = "line"
    SECONDS = "seconds"
    OUTPUT_TOKENS = "output_tokens"
    TEXT_CHARS = "text_chars"


ORDERS = tuple(order for name in LineOrder for order in (name.value, DESCENDING + name.value))


@dataclass(frozen=True, slots=True)
class LineFilters:
    """A filter that is None is not applied. `is_json`: the answer's text is an object or an array; the length of that
    text is between `chars_min` and `chars_max`, both included."""

    model: str | None = None
    finish_reason: str | None = None
    is_json: bool | None = None
    chars_min: int | None = None
    chars_max: int | None = None
    order: LineOrder = LineOrder.LINE
    is_descending: bool = False


NO_FILTERS = LineFilters()


def read_line_filters(query: Mapping[str, str]) -> LineFilters:
    """Parse the query. Raises Refusal."""
    order, is_descending = _order(query)
    return LineFilters(
        model=looked_for(query, "model"),
        finish_reason=looked_for(query, "finish_reason"),
        is_json=_is_json(query),
        chars_min=_number(query, "chars_min"),
        chars_max=_number(query, "chars_max"),
        order=order,
        is_descending=is_descending,
    )


def _order(query: Mapping[str, str]) -> tuple[LineOrder, bool]:
    wanted = query.get("order", LineOrder.LINE.value)
    if wanted not in ORDERS:
        raise _unsupported("order", wanted, ORDERS)
    return LineOrder(wanted.removeprefix(DESCENDING)), wanted.startswith(DESCENDING)


def _is_json(query: Mapping[str, str]) -> bool | None:
    if "is_json" not in query:
        return None
    if query["is_json"] not in ("true", "false"):
        raise _unsupported("is_json", query["is_json"], ("true", "false"))
    return query["is_json"] == "true"


def _number(query: Mapping[str, str], name: str) -> int | None:
    return integer_between(integer_of_text(query[name], name), name, 0, NUMBER_MAX) if name in query else None


def _unsupported(name: str, value: str, supported: tuple[str, ...]) -> Refusal:
    quoted = [f"'{each}'" for each in supported]
    words = f"Supported values are: {', '.join(quoted[:-1])}, and {quoted[-1]}."
    return Refusal(Reason.VALUE_INVALID, f"Invalid value: '{value}'. {words}", name)
