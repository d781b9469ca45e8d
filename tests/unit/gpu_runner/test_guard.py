"""How often a guard looks for processes it has not seen."""

from __future__ import annotations

from itertools import accumulate, repeat
from pathlib import Path

from vbatch.gpu_runner.adapters.engine.process.guard import WATCH_SECONDS, WATCH_SECONDS_MAX, Record, next_pause


def test_a_guard_looks_less_often_while_nothing_changes_but_for_ever():
    pauses = list(accumulate(repeat(False, 10), lambda pause, _: next_pause(pause, has_changed=False), initial=0.25))
    assert pauses == sorted(pauses)
    assert pauses[-1] == WATCH_SECONDS_MAX


def test_a_new_process_makes_it_look_often_again():
    assert next_pause(WATCH_SECONDS_MAX, has_changed=True) == WATCH_SECONDS


def test_a_record_says_whether_it_is_another_one(tmp_path: Path):
    record = Record(str(tmp_path / "pids"))
    assert [record.write([1]), record.write([1]), record.write([1, 2])] == [True, False, True]
