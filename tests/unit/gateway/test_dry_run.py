"""A few lines stand for all: what a dry run asks, counts and estimates."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from vbatch.contracts.dry_run import RunEstimate
from vbatch.gateway.core.dry_run import (
    Counted,
    DryRunParams,
    Prices,
    Range,
    input_tokens,
    output_tokens,
    parts_of,
    read_dry_run,
    token_count,
    tokenize_body,
)
from vbatch.gateway.core.dry_run_views import estimate_view
from vbatch.gateway.core.refusals import Refusal

CHAT = "/v1/chat/completions"


def test_a_dry_run_is_asked_for_with_lines_and_prices():
    assert read_dry_run(None) is None
    assert read_dry_run({}) == DryRunParams(3, Prices())
    asked = read_dry_run({"lines": 5, "prices": {"input_per_million": 1, "per_kwh": 0.3}})
    assert asked == DryRunParams(5, Prices(input_per_million=1.0, per_kwh=0.3))


@pytest.mark.parametrize(
    ("value", "param"),
    [
        (True, "dry_run"),
        ({"line": 3}, "dry_run.line"),
        ({"lines": "3"}, "dry_run.lines"),
        ({"lines": 0}, "dry_run.lines"),
        ({"lines": 17}, "dry_run.lines"),
        ({"prices": 3}, "dry_run.prices"),
        ({"prices": {"euro": 3}}, "dry_run.prices.euro"),
        ({"prices": {"per_kwh": "3"}}, "dry_run.prices.per_kwh"),
        ({"prices": {"per_kwh": -1}}, "dry_run.prices.per_kwh"),
    ],
)
def test_anything_else_is_refused_with_the_name_of_the_field(value: Any, param: str):
    with pytest.raises(Refusal) as refused:
        read_dry_run(value)
    assert refused.value.param == param


def test_the_body_of_a_line_is_sent_as_it_stands_in_the_file():
    line = b'{"custom_id":"a", "method":"POST","url":"/x","body": {"model":"m",  "seed":1e3}}'
    assert parts_of(line) == ("a", b'{"model":"m",  "seed":1e3}')


def test_tokens_are_counted_by_what_the_engine_would_read():
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [], "temperature": 0}
    asked = json.loads(tokenize_body(CHAT, json.dumps(body).encode()) or b"")
    assert asked == {"model": "m", "messages": body["messages"], "tools": []}
    assert json.loads(tokenize_body("/v1/embeddings", b'{"model":"m","input":"x"}') or b"")["prompt"] == "x"
    assert tokenize_body("/v1/score", b'{"model":"m","text_1":"x"}') is None
    assert token_count(b'{"count":7,"tokens":[]}') == 7
    assert token_count(b"<html>") is None


def test_a_file_that_was_counted_whole_has_no_error():
    found = input_tokens([Counted(100, 20), Counted(200, 50)], 2, 300)
    assert found == Range(70.0, 70.0, 70.0)


def test_nothing_is_estimated_from_nothing():
    assert input_tokens([], 10, 1_000) is None
    assert output_tokens([], 10.0, 10) is None


def test_the_truth_lies_in_the_stated_range_nearly_always():
    random, inside, trials = Random(7), 0, 400
    for _ in range(trials):
        lengths = [random.randint(200, 2_000) for _ in range(500)]
        lines = [Counted(length, round(length * random.gauss(0.25, 0.05))) for length in lengths]
        sample = [lines[int((part + 0.5) * 500 / 32)] for part in range(32)]
        found = input_tokens(sample, 500, sum(line.length for line in lines))
        assert found is not None
        inside += found.low <= sum(line.tokens for line in lines) <= found.high
    assert inside / trials > 0.9


def test_tokens_out_lie_between_the_shortest_and_the_longest_answer():
    assert output_tokens([10, 20, 60], None, 100) == Range(3_000.0, 1_000.0, 6_000.0)
    assert output_tokens([10, 20, 60], 5.0, 100) == Range(3_000.0, 500.0, 6_000.0)


def test_money_and_energy_follow_from_the_estimate_and_are_absent_where_nothing_is_known():
    run = RunEstimate(work_seconds=7_200.0, is_guess=False, ends_at=datetime(2030, 1, 1, tzinfo=UTC))
    tokens_in, tokens_out = Range(2e6, 1e6, 3e6), Range(1e6, 1e6, 1e6)
    prices = Prices(input_per_million=0.5, output_per_million=2.0, per_kwh=0.3)
    shown = estimate_view(tokens_in, 32, tokens_out, run=run, watts=250.0, prices=prices)
    assert shown.watt_hours == 500.0
    assert shown.money is not None
    assert (shown.money.input, shown.money.output, shown.money.energy) == (1.0, 2.0, 0.15)
    bare = estimate_view(None, 0, None, run=run, watts=None, prices=Prices())
    assert (bare.watt_hours, bare.money, bare.input_tokens) == (None, None, None)
