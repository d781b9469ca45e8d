"""The labeler's metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from vbatch.labeler.flows.serving import Progress


def labeler_metrics(registry: CollectorRegistry, progress: Progress) -> None:
    waiting = Gauge("vbatch_labeling_waiting", "Labelings that are not pushed completely.", registry=registry)
    waiting.set_function(lambda: len(progress.state.to_push()))
    judgements = Gauge(
        "vbatch_labeling_judgements", "Judgements from Label Studio that were ever recorded.", registry=registry
    )
    judgements.set_function(lambda: len(progress.state.references))
    away = Gauge("vbatch_label_studio_away", "1 while Label Studio is waited for.", registry=registry)
    away.set_function(lambda: float(progress.trouble is not None))
