"""The service level objectives, and how much of the tolerance is used: good answers, events soon readable, completion
windows kept."""

from __future__ import annotations

from deploy.monitoring.dashboards.model import Dashboard, Kind, Panel, Query, Row, above

API_TOLERANCE = 0.001

ANSWERS = Row(
    "99.9 % of requests are answered without a fault of ours (30 days)",
    (
        Panel(
            "Is the promise kept?",
            "Share of requests without a 5xx, as far back as Prometheus remembers, 30 days at most.",
            (Query("1 - service:http_errors:ratio_rate30d", "answered well"),),
            unit="percentunit",
            link="api",
            kind=Kind.NUMBER,
            width=6,
        ),
        Panel(
            "How much of the tolerance is left?",
            "1 is all of it, 0 none. Below 0 the promise is broken: changes wait until it recovers.",
            (Query(f"1 - service:http_errors:ratio_rate30d / {API_TOLERANCE}", "left"),),
            unit="percentunit",
            link="api",
            kind=Kind.NUMBER,
            width=6,
        ),
        Panel(
            "How fast is the tolerance used up?",
            "1 uses it up in 30 days. ApiErrorsFast fires above 14.4, ApiErrorsSlow above 6.",
            (
                Query(f"service:http_errors:ratio_rate5m / {API_TOLERANCE}", "5 m"),
                Query(f"service:http_errors:ratio_rate1h / {API_TOLERANCE}", "1 h"),
                Query(f"service:http_errors:ratio_rate6h / {API_TOLERANCE}", "6 h"),
            ),
            unit="short",
            link="api",
            width=12,
            steps=above((6, "orange"), (14.4, "red")),
        ),
    ),
)
READABLE = Row(
    "99 % of events can be read within 5 seconds",
    (
        Panel(
            "Is the promise kept?",
            "Share of live transactions of the read model that were committed within 5 seconds, over an hour.",
            (Query("1 - service:late_reads:ratio_rate1h", "in time"),),
            unit="percentunit",
            link="storage",
            kind=Kind.NUMBER,
            width=6,
        ),
        Panel(
            "When were events late?",
            "Share of late ones over 5 minutes. Look at PostgreSQL's disk and locks.",
            (Query("service:late_reads:ratio_rate5m", "late"),),
            unit="percentunit",
            link="storage",
            width=18,
            is_share=True,
            steps=above((0.01, "red")),
        ),
    ),
)
WINDOWS = Row(
    "99 % of batches end within their window",
    (
        Panel(
            "Is the promise kept?",
            "Share of the batches ended in 30 days that did not expire. Cancelled and failed ones are not counted.",
            (Query("1 - service:missed_windows:ratio_rate30d", "in time"),),
            unit="percentunit",
            link="batch",
            kind=Kind.NUMBER,
            width=6,
        ),
        Panel(
            "When were windows missed?",
            "Batches that expired, in an hour.",
            (Query('sum(increase(vbatch_batches_ended_total{ending="expired"}[1h]))', "expired"),),
            unit="short",
            link="batch",
            width=9,
            steps=above((1, "red")),
        ),
        Panel(
            "Will windows be missed?",
            "Pending batches that are foretold to be late, and the least slack in hours.",
            (
                Query("sum(vbatch_batches_at_risk)", "at risk"),
                Query("min(vbatch_batch_slack_seconds) / 3600", "least slack, hours"),
            ),
            unit="short",
            link="batch",
            width=9,
        ),
    ),
)
MACHINE = Row(
    "Is the device worth its power?",
    (
        Panel(
            "How much of its time is the device busy?",
            "Share of a quarter of an hour in each state. There is no promise; idle is fine where nothing waits.",
            (Query("runner:state:ratio_rate15m", "{{state}}"),),
            unit="percentunit",
            link="engine",
            kind=Kind.STACK,
            width=12,
            is_share=True,
        ),
        Panel(
            "How many tokens does each model make?",
            "Output tokens a second, over 5 minutes.",
            (Query("model:output_tokens:rate5m", "{{model}}"),),
            unit="short",
            link="engine",
            width=12,
        ),
    ),
)

SLO = Dashboard(
    "slo",
    "SLO: is what we promise kept?",
    "The three promises of docs/runbooks.md with their tolerance, and how the device is used.",
    (ANSWERS, READABLE, WINDOWS, MACHINE),
)
