"""Alerts, their runbooks and their cases belong together: none without the others."""

import re

import promql_parser
import pytest
import yaml

from deploy.monitoring.dashboards.catalogue import DASHBOARDS
from tests.support.monitoring import MONITORING, Rule, metric_names, rules
from tests.support.paths import ROOT
from tests.unit.monitoring.test_dashboards import FOREIGN_METRICS, names_in

ALERTS = [rule for rule in rules() if rule.alert]
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text()
SECTION = re.compile(
    r"^## (\w+)\n- \*Means\*: .+\n- \*Look\*: .+\n- \*Do\*: .+\n- \*Over when\*: .+\n- \*Dashboard\*: `/d/([\w-]+)`$",
    re.MULTILINE,
)


def test_every_alert_has_a_runbook_of_five_lines_and_every_runbook_an_alert():
    assert [name for name, _ in SECTION.findall(RUNBOOKS)] == [rule.alert for rule in ALERTS]
    assert RUNBOOKS.count("\n## ") == len(ALERTS)


def test_a_runbook_leads_to_a_dashboard_that_there_is():
    assert {uid for _, uid in SECTION.findall(RUNBOOKS)} <= {each.uid for each in DASHBOARDS}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.alert)
def test_an_alert_says_what_is_wrong_how_urgent_it_is_and_where_to_read_on(rule: Rule):
    assert rule.severity in {"page", "ticket", "info"}
    assert rule.annotations["summary"] and rule.annotations["description"].endswith(".")
    assert rule.annotations["runbook"] == f"docs/runbooks.md#{rule.alert.lower()}"


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_stays_silent():
    cases = yaml.safe_load((MONITORING / "prometheus" / "tests" / "alerts.yml").read_text())["tests"]
    said = {tuple(case["name"].split()[:2]) for case in cases}
    missing = [rule.alert for rule in ALERTS if not {(rule.alert, "fires"), (rule.alert, "is")} <= said]
    assert missing == []


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.alert or rule.record)
def test_a_rule_asks_only_for_metrics_that_are_told(rule: Rule):
    known = metric_names()
    promql_parser.parse(rule.expression)
    assert [name for name in names_in(rule.expression) if name not in known and not FOREIGN_METRICS.match(name)] == []


def test_the_names_in_an_expression_are_all_found():
    assert names_in("sum(a) / on() (max by (x) (max_over_time(b[5m:1m])) > 0) unless rate(c[1m]) or vector(0)") == {
        "a",
        "b",
        "c",
    }


def test_a_recorded_name_is_level_metric_operation():
    assert all(re.fullmatch(r"\w+:\w+:\w+", rule.record) for rule in rules() if rule.record)
