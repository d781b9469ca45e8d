import io

import pytest
from rich.console import Console

from vbatch.cli.commands import compare
from vbatch.cli.commands.compare import ComparedBatch, Comparison, Mark, Share, State, Timeline
from vbatch.cli.exits import Misused


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    screen = io.StringIO()
    console = Console(file=screen, width=200, highlight=False)
    monkeypatch.setattr(compare, "out", console)
    monkeypatch.setattr(compare, "print_table", console.print)
    return screen


def batch(name: str, agreement: Share | None) -> ComparedBatch:
    return ComparedBatch(name, "m", 1_000, 2, 0, 0.5, 72.0, 4_600, agreement)


def test_batches_are_compared_with_the_first(printed: io.StringIO):
    compare._show(
        Comparison([batch("a", None), batch("b", Share(0.66, 0.62, 0.71)), batch("c", Share(None, None, None))])
    )
    shown = printed.getvalue()
    assert "the reference" in shown and "66 % (62 to 71)" in shown and "1,000" in shown


def test_the_state_at_an_event_is_told_behind_what_happened(printed: io.StringIO):
    state = State(7, "validated", "the file is valid", "in_progress", True, 5, 40, 3, 1, 90)
    compare._tell(Timeline([Mark(7, "validated", "the file is valid [x]")], state))
    shown = printed.getvalue()
    assert "7  validated: the file is valid [x]" in shown
    assert "in_progress, paused, priority 5" in shown and "3 succeeded and 1 failed of 40" in shown


def test_one_batch_alone_is_not_compared():
    with pytest.raises(Misused):
        compare._asked(["a"])
