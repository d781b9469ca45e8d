from msgspec.structs import replace

from tests.unit.console.samples import READY, RUNNER, batch, entry
from vbatch.console.core import api_objects as api, views
from vbatch.contracts.lifecycle import BatchStatus

NOW = 100
NOBODY = api.Others(0, 0)


def titles(**changes: object) -> list[str]:
    given = {"server": READY, "runners": [RUNNER], "unfinished": [], "ended": [], "now": NOW} | changes
    return [need.title for need in views.needs(**given)]  # type: ignore[arg-type]  # the names of its parameters


def test_a_quiet_server_needs_nobody():
    assert titles() == []
    assert views.headline(READY, [RUNNER], [], NOW) == "Ready. Nothing waits."


def test_a_service_that_does_not_answer_comes_first():
    down = api.Server("0.1.0", False, (api.Service("results", "unreachable", "no answer", NOW),))
    assert titles(server=down, unfinished=[batch(paused_at=5)])[0] == "results does not answer"
    assert views.headline(down, [RUNNER], [], NOW) == "Not everything is ready: results."


def test_no_runner_is_said():
    assert titles(runners=[]) == ["No runner"]


def test_a_drained_runner_is_said_with_the_reason():
    drained = replace(RUNNER, drain=api.Drain("unload", 90, "local", "a game", None))
    (need,) = views.needs(READY, [drained], [], [], NOW)
    assert need.words == "It takes no work until an administrator resumes it (a game)."


def test_failures_hidden_by_a_completed_state_are_brought_up():
    hidden = batch("a", status=BatchStatus.COMPLETED, failed=2, completed_at=NOW)
    assert titles(ended=[hidden]) == ["a has failures"]


def test_a_batch_that_ended_well_or_long_ago_needs_nobody():
    well = batch(status=BatchStatus.COMPLETED, completed=10, completed_at=NOW)
    old = batch(status=BatchStatus.EXPIRED, expired_at=NOW)
    assert titles(ended=[well]) == [] and titles(ended=[old], now=NOW + 10 * 86_400, runners=[RUNNER]) == []


def test_a_window_at_risk_and_a_pause_are_said():
    late = batch("late", admission=api.Admission(False, "72h"))
    assert titles(unfinished=[late, batch("p", paused_at=7)]) == ["late may miss its window", "p is paused"]


def test_the_headline_says_what_runs_and_until_when():
    eta = api.Eta(NOW + 60, NOW + 120, NOW + 240, is_guess=False)
    running = batch(queue_position=0, eta=eta)
    assert views.headline(READY, [RUNNER], [running], NOW) == (
        "Running 1 batch on model-a. Everything is done in about 2 min."
    )


def test_a_swap_is_marked_where_the_model_changes():
    eta = api.Eta(NOW + 60, NOW + 120, NOW + 240, is_guess=False)
    entries = (entry("a", eta=eta), entry("b", eta=eta, model="model-b"), entry("c", eta=eta, model="model-b"))
    view = views.queue_of(api.Queue(NOW, entries, NOBODY), {}, [RUNNER], NOW)
    assert [row.swaps_to for row in view.rows] == [None, "model-b", None]


def test_a_runner_that_stopped_long_ago_is_history():
    stopped = api.Runner("gpu1", "stopped", "cpu", 1, None, 0, "gone", NOW)
    view = views.queue_of(api.Queue(NOW, (), NOBODY), {}, [RUNNER, stopped], NOW + 2 * views.LOST_SECONDS)
    assert [runner.id for runner in view.runners] == ["gpu0"]


def test_the_plot_is_told_in_words():
    series = api.Series(0, 10, (10, 30), (0, 0), (100, 300))
    assert views.series_sentence(series) == (
        "40 answers in 20 s: 2.0 a second on average, 3.0 at best, with 20 output tokens a second."
    )
    assert views.series_sentence(api.Series(None, 1, (), (), ())) == "No answer has come yet."
