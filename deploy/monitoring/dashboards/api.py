"""The API by route: rate, errors, duration, and the resources of the gateway itself."""

from __future__ import annotations

from deploy.monitoring.dashboards.model import Dashboard, Kind, Panel, Query, Row, Variable, above, quantile

ROUTE = 'route=~"$route"'
RATES = Row(
    "How many, how well, how fast?",
    (
        Panel(
            "Which routes are asked?",
            "Requests a second by route.",
            (
                Query(
                    f"sum by (method, route) (rate(vbatch_http_requests_total{{{ROUTE}}}[$__rate_interval]))",
                    "{{method}} {{route}}",
                ),
            ),
            unit="reqps",
            link="overview",
            kind=Kind.STACK,
            width=12,
        ),
        Panel(
            "Which routes fail?",
            "Share of 5xx of each route. 503: PostgreSQL, NATS or the scheduler is away; 507: a disk or the log is "
            "full.",
            (
                Query(
                    f'sum by (route) (rate(vbatch_http_requests_total{{status=~"5..",{ROUTE}}}[$__rate_interval])) / '
                    f"sum by (route) (rate(vbatch_http_requests_total{{{ROUTE}}}[$__rate_interval]))",
                    "{{route}}",
                ),
            ),
            unit="percentunit",
            link="slo",
            width=12,
            is_share=True,
            steps=above((0.001, "orange"), (0.01, "red")),
        ),
        Panel(
            "How long until an answer begins?",
            "To the head of the answer, 99 of 100 sooner, by route. The points are single requests: their request_id "
            "finds the log line.",
            (
                Query(
                    quantile(0.99, "vbatch_http_first_byte_seconds", by="method, route", where=ROUTE),
                    "{{method}} {{route}}",
                    is_exemplary=True,
                ),
            ),
            unit="s",
            link="storage",
            width=12,
            steps=above((1, "orange")),
        ),
        Panel(
            "How long do whole answers take?",
            "To the end of the answer, half sooner. Streams last as long as somebody listens.",
            (
                Query(
                    quantile(0.5, "vbatch_http_request_seconds", by="method, route", where=ROUTE),
                    "{{method}} {{route}}",
                ),
            ),
            unit="s",
            link="storage",
            width=12,
        ),
    ),
)
SHORT = Row(
    "What is refused, and what is it short of?",
    (
        Panel(
            "Why are requests refused?",
            "Refusals a second by the server's reason (docs/compatibility.md). Many rate_limited: somebody loops.",
            (Query("sum by (reason) (rate(vbatch_http_refusals_total[$__rate_interval]))", "{{reason}}"),),
            unit="reqps",
            link="overview",
        ),
        Panel(
            "How long do clients wait to read their own write?",
            "The wait for the read model after a write, 99 of 100 shorter.",
            (
                Query(
                    quantile(0.99, "vbatch_own_write_wait_seconds"),
                    "p99",
                ),
            ),
            unit="s",
            link="storage",
            steps=above((1, "orange")),
        ),
        Panel(
            "How many connections are busy?",
            "Requests being answered, and event streams being sent.",
            (
                Query("sum(vbatch_http_requests_in_flight)", "requests"),
                Query("sum(vbatch_event_streams_open)", "event streams"),
            ),
            unit="short",
            link="overview",
        ),
        Panel(
            "How many bytes come and go?",
            "Bodies of requests and answers, bytes a second.",
            (
                Query("sum(rate(vbatch_http_received_bytes_total[$__rate_interval]))", "received"),
                Query("sum(rate(vbatch_http_sent_bytes_total[$__rate_interval]))", "sent"),
            ),
            unit="Bps",
            link="storage",
        ),
        Panel(
            "Is an event loop held up?",
            "How late due timers come, 99 of 100 less. Above half a second LoopLag fires.",
            (
                Query(
                    quantile(0.99, "vbatch_loop_lag_seconds", by="job"),
                    "{{job}}",
                ),
            ),
            unit="s",
            link="overview",
            steps=above((0.5, "red")),
        ),
        Panel(
            "Do the services run out of files?",
            "Open files and sockets of the limit, by service.",
            (Query("max by (job) (process_open_fds / process_max_fds)", "{{job}}"),),
            unit="percentunit",
            link="overview",
            is_share=True,
            steps=above((0.8, "orange")),
        ),
    ),
)

API = Dashboard(
    "api",
    "API: how are requests answered?",
    "Rate, errors and duration by route, and what the gateway is short of.",
    (RATES, SHORT),
    (Variable("route", "Route", "label_values(vbatch_http_requests_total, route)"),),
)
