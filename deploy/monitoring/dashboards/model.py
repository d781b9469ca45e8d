"""The parts of a dashboard: rows of panels, each of which answers the question in its title.

This module holds only data. `render` turns it into Grafana's JSON, and the tests read it directly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

UID_PREFIX = "vbatch-"
GRID_COLUMNS = 24


class Source(StrEnum):
    """The data sources. Their uids are in grafana/provisioning/datasources."""

    PROMETHEUS = "vbatch-prometheus"
    LOKI = "vbatch-loki"
    TEMPO = "vbatch-tempo"


class Kind(StrEnum):
    """How a panel shows its answer."""

    GRAPH = "graph"
    STACK = "stack"
    NUMBER = "number"
    TIMELINE = "timeline"
    TABLE = "table"
    LOGS = "logs"
    TRACES = "traces"


class Needs(StrEnum):
    """What a query needs to have an answer. The tests run without it and say so."""

    NOTHING = ""
    GPU = "a GPU"
    VLLM = "vLLM"
    NODE = "the node exporter"
    LABELING = "Label Studio"


@dataclass(frozen=True, slots=True)
class Query:
    """`legend` is a template of labels. `is_exemplary` says that its histogram carries exemplars."""

    expression: str
    legend: str = ""
    needs: Needs = Needs.NOTHING
    is_exemplary: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """From `value` on, the panel is shown in `color`."""

    value: float
    color: str


@dataclass(frozen=True, slots=True)
class Panel:
    """`title` asks a question, `description` says how to read the answer and what to do about it, `link` names the
    dashboard to look at next."""

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str
    link: str
    kind: Kind = Kind.GRAPH
    steps: tuple[Step, ...] = ()
    width: int = 8
    height: int = 7
    source: Source = Source.PROMETHEUS
    is_share: bool = False
    """Whether its values are between 0 and 1."""


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice above the panels: the values of a label, or a text to enter."""

    name: str
    label: str
    query: str = ""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`name` is also the end of its uid, which never changes, because bookmarks and links hold it."""

    name: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = field(default=())

    @property
    def uid(self) -> str:
        return UID_PREFIX + self.name

    @property
    def panels(self) -> list[Panel]:
        return [panel for row in self.rows for panel in row.panels]


def quantile(share: float, histogram: str, *, by: str = "", where: str = "", over: str = "$__rate_interval") -> str:
    """Return the value that this share of a histogram's observations did not exceed. `by` keeps labels, `where`
    selects."""
    labels = f"le, {by}" if by else "le"
    selector = f"{{{where}}}" if where else ""
    return f"histogram_quantile({share}, sum by ({labels}) (rate({histogram}_bucket{selector}[{over}])))"


def above(*steps: tuple[float, str]) -> tuple[Step, ...]:
    """Return thresholds by value and color, the lowest first."""
    return tuple(Step(value, color) for value, color in steps)
