"""How long things usually take here, and how a line says so."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.events import MODEL, NOON, RUNNER
from vbatch.cli.live import Progress
from vbatch.cli.loads import usual_load_seconds
from vbatch.cli.moving import elapsed, moving_line
from vbatch.cli.progress_display import describe
from vbatch.cli.usual import FILE_NAME, TIMES_KEPT, Usual, usual_line
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import ModelId
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.settings import JournalSettings


def loaded(seconds: float, model: ModelId = MODEL) -> e.ModelLoaded:
    at = NOON + timedelta(seconds=seconds)
    return e.ModelLoaded(runner_id=RUNNER, epoch=1, model=model, seconds=seconds, window=8, at=at)


def loading(progress: Progress) -> Progress:
    progress.models = (MODEL,)
    progress.apply(e.ModelLoading(runner_id=RUNNER, epoch=1, model=MODEL, at=NOON))
    return progress


def test_what_was_never_timed_is_not_usual(tmp_path: Path):
    assert Usual(tmp_path).seconds("up") is None


def test_the_last_few_times_decide(tmp_path: Path):
    usual = Usual(tmp_path)
    for seconds in (100.0, *(9.0,) * TIMES_KEPT):
        usual.note("up", seconds)
    assert usual.seconds("up") == 9.0


def test_a_file_that_cannot_be_read_tells_nothing_and_is_written_again(tmp_path: Path):
    (tmp_path / FILE_NAME).write_text("{broken")
    assert Usual(tmp_path).seconds("up") is None
    Usual(tmp_path).note("up", 3.0)
    assert Usual(tmp_path).seconds("up") == 3.0


def test_a_folder_that_is_not_there_is_no_reason_to_fail(tmp_path: Path):
    Usual(tmp_path / "absent").note("up", 3.0)
    assert Usual(tmp_path / "absent").seconds("up") is None


def test_a_block_that_fails_is_not_remembered(tmp_path: Path):
    with pytest.raises(ValueError), usual_line(Console(file=io.StringIO()), tmp_path, "up", "starting"):
        raise ValueError
    assert Usual(tmp_path).seconds("up") is None


def test_in_a_pipe_nothing_moves():
    console = Console(file=io.StringIO())
    with moving_line(console, "starting", 3.0):
        pass
    assert isinstance(console.file, io.StringIO) and console.file.getvalue() == ""


def test_on_a_terminal_the_line_says_what_is_done_and_how_long_it_usually_takes():
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with moving_line(console, "starting the programs", 9.0):
        pass
    assert isinstance(console.file, io.StringIO)
    assert "starting the programs" in console.file.getvalue() and "usually 9.0 s" in console.file.getvalue()


def test_without_a_usual_time_only_the_seconds_so_far_are_said():
    assert elapsed(4.0, None) == "4.0 s"


def test_a_load_says_how_long_it_takes_and_how_long_it_usually_does():
    progress = loading(Progress())
    progress.usual_load_seconds = {MODEL: 24.0}
    assert f"loading {MODEL} for 12.0 s, usually 24.0 s" in describe(progress, NOON + timedelta(seconds=12))


def test_the_first_load_of_a_model_says_that_it_takes_longer():
    text = describe(loading(Progress()), NOON + timedelta(seconds=12))
    assert "for 12.0 s; the first time its weights are made ready, too" in text


def test_a_line_without_a_clock_says_nothing_of_time():
    assert describe(loading(Progress())).endswith(f"loading {MODEL}")


async def test_usual_loads_are_those_in_the_log_that_loaded_something():
    journal = MemoryJournal(JournalSettings(url="memory://", name="test"), lambda: NOON)
    assert await usual_load_seconds(journal.log) == {}
    for event in (loaded(20.0), loaded(0.1), loaded(30.0), loaded(22.0), loaded(5.0, ModelId("other"))):
        await journal.log.append(codec.encode(event, source="test"))
    assert await usual_load_seconds(journal.log) == {MODEL: 22.0, ModelId("other"): 5.0}
