"""docs/metrics.md says what the services expose, in Prometheus' own conventions."""

import re

from deploy.monitoring.metrics_reference import described, page
from tests.support.paths import ROOT

IDS = {"batch", "batch_id", "file", "file_id", "request", "request_id", "custom_id", "slice_id", "key", "trace_id"}


def test_the_page_is_what_the_code_exposes():
    assert (ROOT / "docs" / "metrics.md").read_text() == page(), "run `./taskw docs`"


def test_no_metric_stands_twice():
    names = [metric.name for metric in described()]
    assert len(names) == len(set(names))


def test_a_counter_ends_in_total_and_nothing_else_does():
    for metric in described():
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name


def test_no_label_carries_an_id():
    for metric in described():
        assert not IDS & set(metric.labels), metric.name


def test_every_metric_says_what_it_means():
    assert [metric.name for metric in described() if len(metric.text) < 10] == []


def test_times_are_in_seconds_and_sizes_in_bytes():
    for metric in described():
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent|perc)(_|$)", metric.name), metric.name
