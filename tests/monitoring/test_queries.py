"""Everything the dashboards, rules and alerts ask has an answer, by the real stack under the real Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

import promql_parser
import pytest

from deploy.monitoring.dashboards.catalogue import DASHBOARDS
from deploy.monitoring.dashboards.model import Needs, Query, Source
from tests.monitoring.scene import Scene
from tests.support.monitoring import metric_names, rules, substituted
from vbatch.local.programs import SERVICES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

COMPARISONS = {">", "<", ">=", "<=", "==", "!="}
SETS = {"and", "or", "unless"}
ABSENT_PARTS = ("vbatch_gpu_", "joules", "label_studio", 'job="labeler"', "vbatch_certificate_", "vbatch_api_key_")
"""What rules say of a GPU, of Label Studio, of TLS and of keys that expire, which this scene has not."""
ABSENT_HERE = (Needs.GPU, Needs.VLLM, Needs.LABELING)
QUERIES = [
    pytest.param(query, id=f"{dashboard.name}: {panel.title}")
    for dashboard in DASHBOARDS
    for panel in dashboard.panels
    if panel.source is Source.PROMETHEUS
    for query in panel.queries
    if query.needs not in ABSENT_HERE
]


def operands(expression: promql_parser.Expr) -> Iterator[str]:
    """What an alert compares: its parts without the comparison, which is false while all is well."""
    match expression:
        case promql_parser.ParenExpr():
            yield from operands(expression.expr)
        case promql_parser.BinaryExpr() if str(expression.op) in SETS:
            yield from operands(expression.lhs)
            yield from operands(expression.rhs)
        case promql_parser.BinaryExpr() if str(expression.op) in COMPARISONS:
            yield from operands(expression.lhs)
            yield from operands(expression.rhs)
        case promql_parser.NumberLiteral():
            return
        case _ if not is_absent(str(expression)):
            yield str(expression)


def is_absent(text: str) -> bool:
    return any(part in text for part in ABSENT_PARTS)


@pytest.mark.parametrize("query", QUERIES)
def test_a_panel_has_something_to_show(scene: Scene, query: Query):
    assert scene.prometheus.series(substituted(query.expression)), query.expression


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.record or rule.alert)
def test_what_a_rule_looks_at_is_there(scene: Scene, rule):
    for operand in operands(promql_parser.parse(rule.expression)):
        assert scene.prometheus.series(operand), operand


@pytest.mark.parametrize("record", [rule.record for rule in rules() if rule.record and not is_absent(rule.record)])
def test_a_recorded_series_is_recorded(scene: Scene, record: str):
    assert scene.prometheus.series(record)


def test_nothing_is_told_that_the_page_of_metrics_does_not_name(scene: Scene):
    told = {series["metric"]["__name__"] for series in scene.prometheus.series('{__name__=~"vbatch_.*"}')}
    assert told - metric_names() == set()


def test_the_series_are_few(scene: Scene):
    services = 'job=~"gateway|scheduler|gpu-runner|results|notifier|console"'
    assert (scene.prometheus.value(f"sum(scrape_samples_scraped{{{services}}})") or 0) < 3_000


def test_a_latency_leads_to_a_request(scene: Scene):
    found = scene.prometheus.exemplars("vbatch_http_first_byte_seconds_bucket")
    labels = [exemplar["labels"] for series in found for exemplar in series["exemplars"]]
    assert any(each.get("request_id", "").startswith("req_") for each in labels)


def test_every_target_is_scraped(scene: Scene):
    targets = scene.prometheus.targets()
    assert set(targets) == {service.name for service in SERVICES} | {"engine", "node", "prometheus"}
    assert {job: target["lastError"] for job, target in targets.items() if target["health"] != "up"} == {}
