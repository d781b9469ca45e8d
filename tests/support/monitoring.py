"""What the tests of monitoring share: where its files are, which metrics there are, PromQL without Grafana's words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from deploy.monitoring.metrics_reference import described
from tests.support.paths import ROOT

MONITORING = ROOT / "deploy" / "monitoring"
RULES = MONITORING / "prometheus" / "rules"
HISTOGRAM_PARTS = ("_bucket", "_sum", "_count")
GRAFANA_WORDS = {
    "$__rate_interval": "1m",
    "$__interval": "15s",
    "$__range": "1h",
    "$model": ".*",
    "$route": ".*",
    "$batch": "batch_0",
}


@dataclass(frozen=True)
class Rule:
    """One rule of Prometheus; `alert` is empty for a recorded one."""

    record: str
    alert: str
    expression: str
    for_seconds: float
    severity: str
    annotations: dict[str, str]


@cache
def rules() -> tuple[Rule, ...]:
    """All rules, in the order of their files."""
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]]
    return tuple(_rule(each) for group in groups for each in group["rules"])


@cache
def metric_names() -> frozenset[str]:
    """All there are: those of the services, with the parts of histograms, and recorded ones."""
    names = set()
    for metric in described():
        names |= {metric.name + part for part in HISTOGRAM_PARTS} if metric.kind == "histogram" else {metric.name}
    return frozenset(names | {rule.record for rule in rules() if rule.record})


def substituted(expression: str) -> str:
    """The expression with a value for each of Grafana's variables."""
    for word, value in GRAFANA_WORDS.items():
        expression = expression.replace(word, value)
    return expression


def _rule(entry: dict[str, Any]) -> Rule:
    return Rule(
        record=entry.get("record", ""),
        alert=entry.get("alert", ""),
        expression=entry["expr"],
        for_seconds=60.0 * float(entry.get("for", "0m").removesuffix("m")),
        severity=entry.get("labels", {}).get("severity", ""),
        annotations=entry.get("annotations", {}),
    )
