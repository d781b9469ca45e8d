"""LogQL and TraceQL of the dashboards, parsed by Grafana's own grammars."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from deploy.monitoring.dashboards.catalogue import DASHBOARDS
from deploy.monitoring.dashboards.model import Source
from tests.monitoring.conftest import PARSERS
from tests.support.monitoring import substituted

LANGUAGES = {Source.LOKI: "logql", Source.TEMPO: "traceql"}
SCRIPT = Path(__file__).with_name("parse.mjs")


def faults(queries: list[dict[str, str]]) -> list[int | None]:
    """The place of the first fault in each query; None in one that is sound."""
    done = subprocess.run(
        ["node", SCRIPT, PARSERS], input=json.dumps(queries), capture_output=True, text=True, check=True, timeout=60
    )
    found: list[int | None] = json.loads(done.stdout)
    return found


def test_every_query_of_the_dashboards_parses():
    queries = [
        {"language": LANGUAGES[panel.source], "text": substituted(query.expression)}
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        if panel.source in LANGUAGES
        for query in panel.queries
    ]
    assert {query["language"] for query in queries} == {"logql", "traceql"}
    assert [query for query, fault in zip(queries, faults(queries), strict=True) if fault is not None] == []


def test_a_query_that_is_none_is_found_out():
    broken = [{"language": "logql", "text": '{service="a" | json'}, {"language": "traceql", "text": "{ span.a = }"}]
    assert None not in faults(broken)
