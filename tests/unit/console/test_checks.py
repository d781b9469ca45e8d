"""What the help page answers: well if all is well, and otherwise what is wrong, what to do, and where."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tests.unit.console.samples import READY, RUNNER, batch
from vbatch.console.core import admin_objects as admin, api_objects as api
from vbatch.console.core.checks import Administered, Check, Situation, checks_of

QUEUE = api.Queue(100, (), api.Others(0, 0))
LOADS = api.Loads(1, 50, 2.0, 8, None, None, ())
MODEL = api.Model("small", "vllm", None, (), 8, {}, (), 1, LOADS)
DRAIN = api.Drain("unload", 90, "local", "a game", None)


def wrong(**changes: Any) -> list[Check]:
    given: dict[str, Any] = {
        "server": READY,
        "milliseconds": 3,
        "runners": [RUNNER],
        "models": [MODEL],
        "unfinished": [batch()],
        "queue": QUEUE,
    } | changes
    return [check for check in checks_of(Situation(**given)) if not check.is_good]


def test_a_server_that_is_well_passes_every_check():
    assert wrong() == [] and wrong(administered=Administered(0, {"gpu0": []})) == []


def test_a_service_that_is_not_ready_is_named_with_its_own_words():
    down = api.Server("0.1.0", False, (api.Service("results", "not_ready", "no database", 100),))
    (check,) = wrong(server=down)
    assert check.answer == "results is not: no database." and not check.link
    assert wrong(server=down, administered=Administered())[0].link == "/admin/logs?service=results"


def test_a_database_that_does_not_answer_is_told_from_a_slow_one():
    assert wrong(milliseconds=900) == []
    assert wrong(milliseconds=None)[0].question == "Does the database answer?"


def test_runners_that_stopped_are_drained_or_ill_are_told():
    assert wrong(runners=[replace(RUNNER, state="stopped")])[0].answer == "No: batches wait."
    assert "drained by an administrator" in wrong(runners=[replace(RUNNER, drain=DRAIN)])[0].answer
    assert "lost its engine" in wrong(runners=[replace(RUNNER, state="crashed")])[0].answer


def test_a_model_is_told_only_if_its_last_load_failed():
    failed = replace(LOADS, failed_at=60, failure="no memory")
    assert wrong(models=[replace(MODEL, loads=failed)])[0].answer == "No: small."
    assert wrong(models=[replace(MODEL, loads=replace(failed, loaded_at=70))]) == []


def test_pauses_are_told_with_their_reason():
    (check,) = wrong(queue=replace(QUEUE, paused_at=90, pause_reason="a new disk"))
    assert check.answer == "No, all work is paused: a new disk." and "vbatch resume --all" in check.remedy
    assert "is paused" in wrong(unfinished=[batch("a", paused_at=5)])[0].answer
    assert wrong(queue=None)[0].answer.startswith("Not known")


def test_administrators_see_dead_letters_and_strangers_on_the_device():
    stranger = admin.DeviceProcess(42, "a game", 1 << 30, False)
    letters, memory = wrong(administered=Administered(1, {"gpu0": [stranger]}))
    assert letters.link == "/admin/dead-letters"
    assert memory.answer == "Not all of it: a game (process 42) holds some."
