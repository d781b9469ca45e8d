"""The dashboards as their reader needs them: every panel asks, says how to read the answer, and leads on."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as models

from deploy.monitoring.dashboards.__main__ import files
from deploy.monitoring.dashboards.catalogue import DASHBOARDS
from deploy.monitoring.dashboards.model import GRID_COLUMNS, Dashboard, Needs, Panel, Source
from tests.support.monitoring import MONITORING, metric_names, substituted
from tests.support.paths import ROOT
from tests.unit.deploy.test_compose_file import services as compose_services

PANELS = [panel for each in DASHBOARDS for panel in each.panels]
OF_PROMETHEUS = [panel for panel in PANELS if panel.source is Source.PROMETHEUS]
UNITS = set("bool_on_off bool_yes_no bytes Bps celsius joule ops percentunit reqps s short watt".split())


def title_of(panel: Panel) -> str:
    return panel.title


FOREIGN_METRICS = re.compile(r"^(node_|up$|ALERTS$|vllm:)")


def test_what_is_committed_is_what_the_code_makes():
    folder = MONITORING / "grafana" / "dashboards"
    committed = {path.name: path.read_text() for path in folder.glob("*.json")}
    assert committed == files(), "run `./taskw docs`"


@pytest.mark.parametrize("panel", PANELS, ids=title_of)
def test_a_panel_asks_a_question_and_says_what_to_do_about_the_answer(panel: Panel):
    assert panel.title.endswith("?")
    assert len(panel.description) > 20 and panel.description.endswith(".")


@pytest.mark.parametrize("panel", PANELS, ids=title_of)
def test_a_panel_has_a_unit_that_grafana_knows(panel: Panel):
    assert panel.unit in UNITS


@pytest.mark.parametrize("panel", PANELS, ids=title_of)
def test_a_panel_leads_to_another_dashboard(panel: Panel):
    assert panel.link in {each.name for each in DASHBOARDS}
    assert panel not in next(each for each in DASHBOARDS if each.name == panel.link).panels


@pytest.mark.parametrize("panel", PANELS, ids=title_of)
def test_thresholds_rise(panel: Panel):
    assert all(lower.value < higher.value for lower, higher in pairwise(panel.steps))


@pytest.mark.parametrize("panel", OF_PROMETHEUS, ids=title_of)
def test_a_panel_asks_only_for_metrics_that_are_told(panel: Panel):
    known = metric_names()
    for query in panel.queries:
        promql_parser.parse(substituted(query.expression))
        unknown = {name for name in names_in(query.expression) if name not in known and not FOREIGN_METRICS.match(name)}
        assert not unknown, query.expression


@pytest.mark.parametrize("panel", OF_PROMETHEUS, ids=title_of)
def test_what_needs_a_gpu_or_vllm_says_so(panel: Panel):
    for query in panel.queries:
        if "vbatch_gpu_" in query.expression or "joules" in query.expression:
            assert query.needs is Needs.GPU
        if "vllm:" in query.expression:
            assert query.needs is Needs.VLLM


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.name)
def test_the_panels_of_a_dashboard_do_not_overlap(dashboard: Dashboard):
    panels = json.loads(files()[f"{dashboard.name}.json"])["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        cells = set(cells_of(panel["gridPos"]))
        assert not cells & taken and all(0 <= x < GRID_COLUMNS for x, _ in cells)
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_uids_are_unique_and_stable():
    names = ("overview", "batch", "engine", "storage", "api", "slo")
    assert [each.uid for each in DASHBOARDS] == [f"vbatch-{name}" for name in names]


def test_every_data_source_of_a_panel_is_provisioned():
    provisioned = yaml.safe_load((MONITORING / "grafana/provisioning/datasources/vbatch.yml").read_text())
    uids = {source["uid"] for source in provisioned["datasources"]}
    assert {panel.source.value for panel in PANELS} <= uids
    assert uids >= set(references(provisioned))


def test_what_is_provisioned_is_where_compose_puts_it():
    provisioning, services = MONITORING / "grafana/provisioning", compose_services()
    [provider] = yaml.safe_load((provisioning / "dashboards/vbatch.yml").read_text())["providers"]
    mounted = {
        volume["target"]: Path(volume["source"]) for volume in services["grafana"]["volumes"] if "source" in volume
    }
    assert mounted[provider["options"]["path"]] == MONITORING / "grafana/dashboards"
    sources = yaml.safe_load((provisioning / "datasources/vbatch.yml").read_text())["datasources"]
    assert {urlsplit(source["url"]).hostname for source in sources} <= services.keys()


@pytest.mark.parametrize("text", files().values(), ids=files().keys())
def test_the_schema_of_grafana_knows_every_field_of_a_dashboard(text: str):
    assert read_back(json.loads(text)) == json.loads(text)


def test_a_field_that_grafana_does_not_know_is_found():
    strange = json.loads(files()["overview.json"])
    strange["panels"][1]["fieldConfig"]["defaults"]["units"] = "short"
    assert read_back(strange) != strange


def read_back(content: dict[str, Any]) -> Any:
    """What is left of a dashboard that the schema has read; it drops the fields that it does not know."""
    register_default_plugins()
    return json.loads(JSONEncoder().encode(models.Dashboard.from_json(content)))


def test_numbers_and_tables_ask_for_one_moment():
    for dashboard in DASHBOARDS:
        for panel in json.loads(files()[f"{dashboard.name}.json"])["panels"]:
            if panel["type"] == "stat":
                assert all(target["instant"] for target in panel["targets"])


def test_the_documents_name_every_dashboard():
    text = (ROOT / "docs" / "operations.md").read_text()
    assert [each.title for each in DASHBOARDS if each.title.split(":")[0] not in text] == []


def names_in(expression: str) -> set[str]:
    """The metrics of a PromQL expression."""
    found: set[str] = set()

    def visit(node: object) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.add(str(node.name))
        for name in ("expr", "lhs", "rhs", "param", "vector_selector", "vs"):
            if (child := getattr(node, name, None)) is not None:
                visit(child)
        for child in getattr(node, "args", None) or ():
            visit(child)

    visit(promql_parser.parse(substituted(expression)))
    return found


def references(node: object) -> Iterator[str]:
    """Uids that a provisioned data source points to."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("datasourceUid", "alertmanagerUid"):
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def cells_of(position: dict[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(position["x"], position["x"] + position["w"]):
        for y in range(position["y"], position["y"] + position["h"]):
            yield x, y
