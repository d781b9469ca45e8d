from __future__ import annotations

from io import StringIO

from rich.console import Console

from tests.support import events as samples
from tests.unit.cli.test_live import LOADING, chunk, seen, validated
from vbatch.cli.progress_display import LiveDisplay, PlainDisplay, describe


def console(*, is_terminal: bool) -> Console:
    return Console(file=StringIO(), force_terminal=is_terminal, width=100, color_system=None)


def printed(on: Console) -> str:
    assert isinstance(on.file, StringIO)
    return on.file.getvalue()


def test_a_running_batch_says_how_far_how_fast_and_how_long():
    progress = seen(validated(10), chunk(1, 2, second=1), chunk(3, 4, second=2))
    assert describe(progress) == "in_progress  4 of 10  2.0 req/s  6 tok/s  3.0 s left"


def test_a_batch_that_waits_for_its_model_says_so():
    assert describe(seen(validated(10), LOADING)) == f"in_progress  0 of 10  loading {samples.MODEL}"


def test_in_a_pipe_a_line_comes_only_when_something_is_new():
    to = console(is_terminal=False)
    progress = seen(validated(100), chunk(1, second=1))
    with PlainDisplay(to) as display:
        for _ in range(3):
            display.changed("b", progress)
        progress.apply(chunk(*range(2, 50), second=2))
        display.changed("b", progress)
    assert len(printed(to).splitlines()) == 2


def test_on_a_terminal_the_last_picture_stays():
    to = console(is_terminal=True)
    with LiveDisplay(to) as display:
        display.changed("b", seen(validated(10), chunk(1, 2, second=1)))
    assert "in_progress  2 of 10" in printed(to)
