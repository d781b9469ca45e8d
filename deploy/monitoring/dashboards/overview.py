"""The health overview, the first screen: what is up, whether work progresses, what fills up, and what the load is."""

from __future__ import annotations

from deploy.monitoring.dashboards.model import Dashboard, Kind, Needs, Panel, Query, Row, Source, above

SERVICES = "gateway|scheduler|gpu-runner|results|notifier|labeler|console"
STATE = Row(
    "Is it up?",
    (
        Panel(
            "Which services answer?",
            "1 while Prometheus reaches a service. A gap of two minutes raises ServiceDown: look at `vbatch status` "
            "and "
            "at the last lines of its log.",
            (Query(f'max by (job) (up{{job=~"{SERVICES}"}})', "{{job}}"),),
            unit="bool_on_off",
            link="storage",
            kind=Kind.TIMELINE,
            width=12,
        ),
        Panel(
            "Which checks of /ready fail?",
            "The lowest value of each check. A service that is up and not ready says why at /ready and in `vbatch "
            "status`.",
            (Query("min by (job, check) (vbatch_ready) < 1 or min by (job) (vbatch_ready)", "{{job}} {{check}}"),),
            unit="bool_yes_no",
            link="storage",
            kind=Kind.TIMELINE,
            width=12,
        ),
        Panel(
            "What is wrong now?",
            "Alerts that fire. Each names its runbook in docs/runbooks.md.",
            (Query('sum by (alertname, severity) (ALERTS{alertstate="firing"}) or vector(0)', "{{alertname}}"),),
            unit="short",
            link="slo",
            kind=Kind.TABLE,
            width=12,
            steps=above((1, "red")),
        ),
        Panel(
            "How long since each service started?",
            "A line that falls back to 0 is a restart. Restarts without a deployment belong into the log of that "
            "service.",
            (Query("max by (job) (time() - process_start_time_seconds)", "{{job}}"),),
            unit="s",
            link="storage",
            width=12,
        ),
    ),
)
MOVES = Row(
    "Does work move?",
    (
        Panel(
            "How many requests wait?",
            "Requests neither answered nor on a runner. It falls while work moves; a flat line above 0 is "
            "WorkStandsStill.",
            (Query("sum(vbatch_requests_waiting)", "waiting"),),
            unit="short",
            link="batch",
        ),
        Panel(
            "How many requests are answered a second?",
            "Answers that counted. Zero while requests wait means that the engine, the runner or the log stands still.",
            (Query("sum(rate(vbatch_results_outcomes_total[$__rate_interval]))", "answers"),),
            unit="reqps",
            link="engine",
        ),
        Panel(
            "Which batch is nearest to missing its window?",
            "Least time between the foretold end and the end of the window, by model. Below 0 a batch will be late: "
            "`vbatch why BATCH` names what helps.",
            (Query("min by (model) (vbatch_batch_slack_seconds)", "{{model}}"),),
            unit="s",
            link="batch",
            steps=(),
        ),
    ),
)
FULL = Row(
    "Does something fill up?",
    (
        Panel(
            "How full is the event log?",
            "Bytes of its limit. At 80 % LogNearlyFull fires; at 100 % new work is refused and writers wait.",
            (Query("max(vbatch_log_bytes) / max(vbatch_log_limit_bytes)", "event log"),),
            unit="percentunit",
            link="storage",
            is_share=True,
            steps=above((0.8, "orange"), (0.95, "red")),
        ),
        Panel(
            "How much room do the disks have?",
            "Free share of the disks of the files and of the log. Below a tenth DiskNearlyFull fires.",
            (Query("min by (place) (vbatch_storage_free_bytes / vbatch_storage_size_bytes)", "{{place}}"),),
            unit="percentunit",
            link="storage",
            is_share=True,
        ),
        Panel(
            "How much memory do the services take?",
            "Resident memory. A line that rises for hours without more work is a leak worth an issue.",
            (Query("sum by (job) (process_resident_memory_bytes)", "{{job}}"),),
            unit="bytes",
            link="storage",
        ),
        Panel(
            "How busy is the machine?",
            "Share of the processors in use, of all of them. The engine on a CPU takes what it gets.",
            (
                Query(
                    '1 - avg(rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))',
                    "processors",
                    needs=Needs.NODE,
                ),
            ),
            unit="percentunit",
            link="engine",
            is_share=True,
        ),
    ),
)
ASKED = Row(
    "What is asked of it?",
    (
        Panel(
            "How many requests come in, and how do they end?",
            "Requests a second by status class. 5xx are ours: 503 is PostgreSQL or NATS away, 507 a full disk or log.",
            (
                Query(
                    "sum by (class) (label_replace(rate(vbatch_http_requests_total[$__rate_interval]), "
                    '"class", "${1}xx", "status", "(.).."))',
                    "{{class}}",
                ),
            ),
            unit="reqps",
            link="api",
            kind=Kind.STACK,
        ),
        Panel(
            "What do the services complain about?",
            "Lines of level error or warning, of all services.",
            (Query('{service=~".+"} | json | level=~"error|warning"'),),
            unit="short",
            link="batch",
            kind=Kind.LOGS,
            source=Source.LOKI,
            width=16,
        ),
    ),
)

AROUND = Row(
    "Do webhooks and labelings get through?",
    (
        Panel(
            "How do webhook deliveries end?",
            "Tries in five minutes, by status code or fault. Anything but 2xx is tried again for three days; look at "
            "`vbatch webhooks deliveries ENDPOINT`.",
            (
                Query("sum by (ended) (increase(vbatch_webhook_tries_total[5m]))", "{{ended}}"),
                Query("sum(increase(vbatch_webhook_exhausted_total[5m]))", "given up"),
            ),
            unit="short",
            link="api",
            steps=above((100, "orange")),
        ),
        Panel(
            "What waits to be told?",
            "Deliveries that wait for a try, endpoints that were given up, labelings that are not pushed completely.",
            (
                Query("sum(vbatch_webhook_deliveries_waiting)", "deliveries"),
                Query("sum(vbatch_webhook_endpoints_disabled)", "endpoints disabled"),
                Query("sum(vbatch_labeling_waiting)", "labelings", needs=Needs.LABELING),
            ),
            unit="short",
            link="api",
        ),
        Panel(
            "Is Label Studio away?",
            "1 while the labeler waits for it. After ten minutes LabelStudioAway fires.",
            (Query("max by (job) (vbatch_label_studio_away)", "{{job}}", needs=Needs.LABELING),),
            unit="bool_yes_no",
            link="storage",
            kind=Kind.TIMELINE,
        ),
    ),
)

OVERVIEW = Dashboard(
    "overview",
    "Overview: is it well?",
    "What is up, whether work moves, what fills up and what is asked. Each panel leads to the dashboard that says "
    "more.",
    (STATE, MOVES, FULL, ASKED, AROUND),
)
