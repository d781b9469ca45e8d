import pytest

from tests.unit.console.samples import batch
from vbatch.console.core import wording
from vbatch.console.core.api_objects import Admission, Eta
from vbatch.contracts.lifecycle import BatchStatus


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\nof two lines", "plain\ttext\nof two lines"),
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("a\x00b\x7f\r", "a␀b␡␍"),
        ("user\u202egpj.exe", "user⟨U+202E⟩gpj.exe"),
        ("\u2066x\u2069\u200b", "⟨U+2066⟩x⟨U+2069⟩⟨U+200B⟩"),
        ("שלום", "שלום"),
    ],
)
def test_text_of_others_shows_what_would_act_or_hide(text, shown):
    assert wording.shown_text(text) == shown


def test_a_completed_batch_with_failures_is_not_simply_green():
    state = wording.batch_state(batch(status=BatchStatus.COMPLETED, failed=3))
    assert state.tone == "warn" and "failures" in state.word


def test_a_paused_batch_is_paused_while_it_could_run():
    assert wording.batch_state(batch(paused_at=5)).word == "paused"
    assert wording.batch_state(batch(paused_at=5, status=BatchStatus.CANCELLED)).word == "cancelled"


def test_every_status_has_a_word_and_an_icon():
    assert set(wording.STATES) == set(BatchStatus)


def test_an_end_is_told_as_a_guess_while_it_is_one():
    assert wording.ends(Eta(50, 100, 200, is_guess=True), 40) == "in about 60 s, a guess"
    assert wording.ends(Eta(50, 100, 200, is_guess=False), 99) == "at any moment"
    assert wording.ends_range(Eta(70, 100, 400, is_guess=False), 40) == "30 s to 6 min"


def test_a_window_that_is_kept_needs_no_warning():
    assert wording.window_warning(Admission(feasible=True, earliest_completion_window="1h"), "2h") == ""
    assert "72h would be enough" in wording.window_warning(Admission(False, "72h"), "24h")


def test_progress_is_complete_only_at_the_end():
    assert wording.percent(999_999, 1_000_000) == 99.9 and wording.percent(7, 7) == 100.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "less than 1 s"), (45, "45 s"), (600, "10 min"), (7_500, "2 h 5 min"), (300_000, "3 days")],
)
def test_lengths_of_time_have_two_units_at_most(seconds, text):
    assert wording.span(seconds) == text
