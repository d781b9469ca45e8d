"""Whoever answers a request learns at once that its client has left, also if that happened before anybody asked."""

from __future__ import annotations

from vbatch.gateway.adapters.http.client_signals import EXTENSION, ClientSignals, signals_of


def test_a_client_that_leaves_is_noticed_once():
    signals, noticed = ClientSignals(), []
    signals.on_left(lambda: noticed.append("left"))
    assert noticed == []
    signals.leave()
    assert noticed == ["left"]


def test_a_client_that_has_left_already_is_noticed_at_once():
    signals, noticed = ClientSignals(), []
    signals.leave()
    signals.on_left(lambda: noticed.append("left"))
    assert noticed == ["left"]


def test_after_the_answer_nobody_is_told():
    signals, noticed = ClientSignals(), []
    signals.on_left(lambda: noticed.append("left"))
    signals.on_left(None)
    signals.leave()
    assert noticed == []


def test_another_server_sends_no_signals():
    signals = ClientSignals()
    assert signals_of({"extensions": {EXTENSION: signals}}) is signals
    assert signals_of({"type": "http"}).has_whole_body is False
