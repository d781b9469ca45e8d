"""Turns a dashboard into Grafana's JSON, with the builders of the Grafana foundation SDK."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import assert_never

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    logs,
    loki,
    prometheus,
    stat,
    statetimeline,
    table,
    tempo,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as common_models, dashboard as models

from deploy.monitoring.dashboards.model import Dashboard, Kind, Panel, Query, Source, Step, Variable

REFRESH = "30s"
TIME_FROM = "now-6h"
TAG = "vbatch"
GREEN = "green"
PLUGINS = {Source.PROMETHEUS: "prometheus", Source.LOKI: "loki", Source.TEMPO: "tempo"}

PanelBuilder = timeseries.Panel | stat.Panel | statetimeline.Panel | table.Panel | logs.Panel


def rendered(description: Dashboard, everything: Sequence[Dashboard]) -> str:
    """Return the JSON of one dashboard. `everything` holds all dashboards, which its links name by their titles."""
    titles = {each.name: each.title for each in everything}
    builder = (
        dashboard.Dashboard(description.title)
        .uid(description.uid)
        .description(description.description)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .refresh(REFRESH)
        .time(TIME_FROM, "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Dashboards")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
        )
    )
    for variable in description.variables:
        builder.with_variable(_variable(variable))
    ids = count(1)
    for row in description.rows:
        builder.with_row(dashboard.Row(row.title).id(next(ids)))
        for panel in row.panels:
            builder.with_panel(_panel(panel, titles, next(ids)))
    return JSONEncoder(sort_keys=True, indent=2).encode(builder.build()) + "\n"


def _variable(variable: Variable) -> Builder[models.VariableModel]:
    if not variable.query:
        return dashboard.TextBoxVariable(variable.name).label(variable.label)
    return (
        dashboard.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(_reference(Source.PROMETHEUS))
        .query(variable.query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _panel(panel: Panel, titles: dict[str, str], panel_id: int) -> Builder[models.Panel]:
    builder = _kind(panel)
    builder.id(panel_id).title(panel.title).description(panel.description).datasource(_reference(panel.source))
    builder.span(panel.width).height(panel.height)
    if not isinstance(builder, logs.Panel):
        builder.unit(panel.unit).thresholds(_thresholds(panel.steps))
        builder.data_links([_link(panel.link, titles)])
        if panel.is_share:
            builder.min(0).max(1)
    builder.links([_link(panel.link, titles)])
    for number, query in enumerate(panel.queries):
        builder.with_target(_target(panel, query, chr(ord("A") + number)))
    return builder


def _kind(panel: Panel) -> PanelBuilder:
    match panel.kind:
        case Kind.GRAPH:
            return _graph(panel)
        case Kind.STACK:
            stacked = common.StackingConfig().mode(common_models.StackingMode.NORMAL)
            return _graph(panel).stacking(stacked).fill_opacity(40)
        case Kind.NUMBER:
            return stat.Panel().reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        case Kind.TIMELINE:
            return statetimeline.Panel().show_value(common_models.VisibilityMode.NEVER).line_width(0).fill_opacity(70)
        case Kind.TABLE | Kind.TRACES:
            return table.Panel().show_header(True)
        case Kind.LOGS:
            return logs.Panel().show_time(True).wrap_log_message(True)
        case _:
            assert_never(panel.kind)


def _graph(panel: Panel) -> timeseries.Panel:
    legend = common.VizLegendOptions().show_legend(True).placement(common_models.LegendPlacement.BOTTOM)
    style = common_models.GraphTresholdsStyleMode.DASHED if panel.steps else common_models.GraphTresholdsStyleMode.OFF
    return (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(10)
        .show_points(common_models.VisibilityMode.NEVER)
        .legend(legend.display_mode(common_models.LegendDisplayMode.LIST))
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(style))
    )


def _target(panel: Panel, query: Query, reference: str) -> Builder[Dataquery]:
    match panel.source:
        case Source.PROMETHEUS:
            return _prometheus_target(panel, query, reference)
        case Source.LOKI:
            return loki.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(reference)
        case Source.TEMPO:
            return tempo.TempoQuery().query(query.expression).query_type("traceql").ref_id(reference)
        case _:
            assert_never(panel.source)


def _prometheus_target(panel: Panel, query: Query, reference: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expression).ref_id(reference).legend_format(query.legend)
    if panel.kind in (Kind.NUMBER, Kind.TABLE):
        return target.instant()
    return target.range().exemplar(query.is_exemplary)


def _thresholds(steps: Sequence[Step]) -> dashboard.ThresholdsConfig:
    thresholds = [
        models.Threshold(value=None, color=GREEN),
        *(models.Threshold(step.value, step.color) for step in steps),
    ]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(thresholds)


def _link(name: str, titles: dict[str, str]) -> dashboard.DashboardLink:
    """Return the link. Raises KeyError for a dashboard that does not exist."""
    url = f"/d/vbatch-{name}?${{__url_time_range}}"
    return dashboard.DashboardLink(f"Look on: {titles[name]}").type(models.DashboardLinkType.LINK).url(url)


def _reference(source: Source) -> models.DataSourceRef:
    return models.DataSourceRef(type_val=PLUGINS[source], uid=source)
