import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from vbatch.cli.commands import lines
from vbatch.cli.commands.lines import Line, Lines, Search, _cells, _format, _query, _show
from vbatch.cli.exits import Misused


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    screen = io.StringIO()
    console = Console(file=screen, width=200, highlight=False)
    monkeypatch.setattr(lines, "out", console)
    monkeypatch.setattr(lines, "print_table", console.print)
    yield screen


def line(answer: str, *, succeeded: bool = True, finish_reason: str | None = "stop") -> Line:
    return Line(7, "a", succeeded, 200, None if succeeded else "request_timeout", 3, 0.25, answer, finish_reason)


def test_an_answer_is_shown_as_it_is_and_cannot_act(printed: io.StringIO):
    _show(Lines([line("[bold]\x1b[2Jred\x07[/bold]\n\nnext")], has_more=False))
    shown = printed.getvalue()
    assert "[bold]\N{REPLACEMENT CHARACTER}[2Jred\N{REPLACEMENT CHARACTER}[/bold] next" in shown and "\x1b" not in shown


def test_a_long_answer_is_cut_and_a_failure_says_why():
    assert _cells(line("x" * 500))[-1].endswith("x…")
    assert _cells(line("", succeeded=False))[2] == "request_timeout"


def test_what_is_left_out_is_said(printed: io.StringIO):
    _show(Lines([], has_more=True, search=Search(3, "12-3")))
    assert "No answered line fits." in printed.getvalue() and "There are more" in printed.getvalue()


def test_the_format_is_told_by_the_end_of_the_name():
    assert (_format(Path("a.CSV")), _format(Path("b.jsonl"))) == ("csv", "jsonl")
    with pytest.raises(Misused):
        _format(Path("c.xlsx"))


def test_only_what_is_asked_for_is_sent():
    assert _query({"contains": "a b", "model": None}) == "?contains=a+b"
