from __future__ import annotations

from vbatch.cli.event_decoding import event_of
from vbatch.client import LiveEvent


def test_an_event_that_is_not_known_here_is_left_out():
    assert event_of(LiveEvent(1, "batch.invented_later", "{}")) is None
