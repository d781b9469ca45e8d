"""Batches: what waits, how long, and how it ended; one batch by its id in logs and traces."""

from __future__ import annotations

from deploy.monitoring.dashboards.model import Dashboard, Kind, Panel, Query, Row, Source, Variable, above, quantile

MODEL = 'model=~"$model"'
QUEUE = Row(
    "What waits?",
    (
        Panel(
            "How many batches are in which state?",
            "Unfinished batches. Many in validating: the scheduler checks large files. Paused ones are in progress, "
            "too.",
            (
                Query("sum by (status) (vbatch_batches)", "{{status}}"),
                Query("sum(vbatch_batches_paused)", "paused"),
            ),
            unit="short",
            link="overview",
        ),
        Panel(
            "How long is the queue of each model?",
            "Requests neither answered nor on a runner. One model's queue that never shrinks: look at why it is not "
            "chosen "
            "with `vbatch why BATCH`.",
            (Query(f"sum by (model) (vbatch_model_requests_waiting{{{MODEL}}})", "{{model}}"),),
            unit="short",
            link="engine",
        ),
        Panel(
            "How old is the oldest batch that waits?",
            "Age of the oldest batch with requests waiting, by model.",
            (Query(f"max by (model) (vbatch_model_oldest_wait_seconds{{{MODEL}}})", "{{model}}"),),
            unit="s",
            link="engine",
        ),
        Panel(
            "How many batches will miss their window?",
            "Foretold from measured rates. Above 0 for a quarter of an hour raises BatchesAtRisk.",
            (Query("sum(vbatch_batches_at_risk)", "at risk"),),
            unit="short",
            link="slo",
            kind=Kind.NUMBER,
            steps=above((1, "orange")),
            width=4,
        ),
        Panel(
            "How much time is left to spare?",
            "Least time between foretold end and end of window. Below 0 raise the batch's priority, pause another, "
            "or give "
            "it a longer window next time.",
            (Query(f"min by (model) (vbatch_batch_slack_seconds{{{MODEL}}})", "{{model}}"),),
            unit="s",
            link="slo",
            width=10,
        ),
        Panel(
            "How much is on runners?",
            "Slices sent out and not done. 0 while requests wait: no runner takes work.",
            (Query("sum(vbatch_slices_outstanding)", "slices"), Query("sum(vbatch_runners)", "runners")),
            unit="short",
            link="engine",
            width=10,
        ),
    ),
)
WAITS = Row(
    "How long does it take?",
    (
        Panel(
            "When do batches get their first answer?",
            "From creation to the first recorded answer: half of the batches are sooner than p50, nine of ten than "
            "p90.",
            (
                Query(quantile(0.5, "vbatch_batch_first_answer_seconds", over="1h"), "p50"),
                Query(quantile(0.9, "vbatch_batch_first_answer_seconds", over="1h"), "p90"),
            ),
            unit="s",
            link="engine",
        ),
        Panel(
            "When do batches get onto a device?",
            "From creation to the first slice. What it takes beyond validation is waiting behind other work.",
            (
                Query(quantile(0.5, "vbatch_batch_first_dispatch_seconds", over="1h"), "p50"),
                Query(quantile(0.9, "vbatch_batch_first_dispatch_seconds", over="1h"), "p90"),
            ),
            unit="s",
            link="engine",
        ),
        Panel(
            "How much of their window do batches use?",
            "Nine of ten batches used less of their completion window than this when their counting ended. 1 is late.",
            (
                Query(
                    quantile(0.9, "vbatch_batch_window_ratio", by="ending", over="1h"),
                    "{{ending}}",
                ),
            ),
            unit="percentunit",
            link="slo",
            steps=above((0.9, "orange"), (1, "red")),
        ),
    ),
)
OUTCOMES = Row(
    "How does it end?",
    (
        Panel(
            "How do batches end?",
            "Batches in the last hour by ending. Expired ones missed their window; failed ones had a bad file.",
            (Query("sum by (ending) (increase(vbatch_batches_ended_total[1h]))", "{{ending}}"),),
            unit="short",
            link="slo",
            kind=Kind.STACK,
        ),
        Panel(
            "How do requests end?",
            "Requests a second by what came of them. Returned ones run again: a cancel, a swap or an engine that died.",
            (
                Query(
                    f"sum by (result) (rate(vbatch_runner_requests_total{{{MODEL}}}[$__rate_interval]))", "{{result}}"
                ),
            ),
            unit="reqps",
            link="engine",
            kind=Kind.STACK,
        ),
        Panel(
            "Why do requests fail?",
            "Failed requests a second by HTTP status or error code (docs/compatibility.md has the codes).",
            (Query("sum by (code) (rate(vbatch_results_failed_outcomes_total[$__rate_interval]))", "{{code}}"),),
            unit="reqps",
            link="engine",
        ),
    ),
)
ONE = Row(
    "One batch",
    (
        Panel(
            "What did the services say of this batch?",
            "Type a batch's id above. The same lines without Loki: `vbatch logs --batch ID`.",
            (Query('{service=~".+"} |= "$batch" | json'),),
            unit="short",
            link="overview",
            kind=Kind.LOGS,
            source=Source.LOKI,
            width=12,
            height=10,
        ),
        Panel(
            "Where did this batch spend its time?",
            "The batch's trace: validation, waits, slices, seal. The same without Tempo: `vbatch trace ID`.",
            (Query('{ span.vbatch.batch_id = "$batch" && kind = internal }'),),
            unit="short",
            link="engine",
            kind=Kind.TRACES,
            source=Source.TEMPO,
            width=12,
            height=10,
        ),
    ),
)

BATCH = Dashboard(
    "batch",
    "Batches: what waits, and how does it end?",
    "Queues by model, waits, slack against the windows, endings; one batch by its id.",
    (QUEUE, WAITS, OUTCOMES, ONE),
    (
        Variable("model", "Model", "label_values(vbatch_model_requests_waiting, model)"),
        Variable("batch", "Batch"),
    ),
)
