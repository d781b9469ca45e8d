"""A forecast in words, and the commands that ask for it or steer by it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tests.support import events as samples
from tests.unit.cli.canned_gateway import BATCH, ENTRY, WHY, CannedGateway
from tests.unit.cli.test_live import seen, validated
from vbatch.cli.api_types import Admission, Batch, Eta, QueueEntry, Why
from vbatch.cli.exits import Exit
from vbatch.cli.forecast_text import GUESS, cells, ends, forecast_line, warning, why
from vbatch.cli.progress_display import describe
from vbatch.contracts.durations import rough_duration

NOW = 4102444740.0
LINE = '{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":"x"}}\n'


def test_a_why_answers_in_sentences():
    assert list(why(msgspec.convert(WHY, Why), NOW)) == [
        f"{samples.BATCH} is in_progress, 1,400 requests not yet started.",
        "It waits for 2 batches to run first.",
        "Ahead of it: 1 batch of yours, batch_own.",
        "Ahead of it: 1 batch of other owners.",
        "It starts in about 60 s and ends in about 21 min (4 min to 38 min).",
        "It is chosen because it is the shortest of 2 batches for its model, with about 4 min of work left.",
        "It is not expected to end within its window: a window of 36h would be enough. "
        "Requests that have not run by then stay unanswered.",
        "With priority 70 it would start in about 1 min and end in about 9 min; other batches would end later.",
    ]


def test_a_guess_is_called_one():
    eta = {"earliest": 4102445000, "likely": 4102446000, "latest": 4102447000, "is_guess": True}
    forecast = list(why(msgspec.convert(WHY | {"eta": eta}, Why), NOW))
    assert "It starts in about 60 s and ends in about 21 min (a guess: 4 min to 38 min)." in forecast
    assert GUESS in forecast


def test_a_row_of_the_queue_says_place_start_end_and_lateness():
    assert cells(msgspec.convert(ENTRY, QueueEntry), NOW) == (
        "3", samples.BATCH, "org/model", "20", "1,400", "", "60 s", "21 min (4 min to 38 min)", "late",
        "2 batches to run first",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "now"), (45, "45 s"), (600, "10 min"), (7500, "2 h 5 min"), (259_200, "3 days")]
)
def test_a_span_is_said_as_one_would_say_it(seconds: int, words: str):
    assert rough_duration(seconds, shortest="now") == words


def test_an_end_that_is_due_is_not_told_in_the_past():
    assert ends(Eta(earliest=1, likely=2, latest=3), NOW) == "at any moment"


def test_a_window_that_is_kept_needs_no_warning_and_one_that_cannot_be_says_so():
    assert warning(None) == warning(Admission(feasible=True)) == ""
    assert "not even a week" in warning(Admission(feasible=False))


def test_a_new_batch_is_told_when_it_ends_or_what_it_waits_for():
    batch = msgspec.convert(BATCH | {"waiting_for": "a gpu-runner: none is running"}, Batch)
    assert list(forecast_line(batch, NOW)) == ["It waits for a gpu-runner: none is running."]
    late = Admission(feasible=False, earliest_completion_window="36h")
    foretold = msgspec.structs.replace(batch, eta=Eta(earliest=4102445000, likely=4102446000, latest=4102447000))
    forecast = list(forecast_line(msgspec.structs.replace(foretold, admission=late), NOW))
    assert forecast[0] == "It ends in about 21 min (4 min to 38 min)."
    assert forecast[1].startswith("It is not expected to end within 24h: a window of 36h would be enough.")


def test_a_watched_batch_that_waits_shows_the_forecast():
    progress = seen(validated(10))
    progress.forecast = "It ends in about 3 min."
    assert describe(progress) == "in_progress  0 of 10  It ends in about 3 min."


def test_a_forecast_is_not_shown_once_counting_is_over():
    progress = seen(validated(10), samples.FINALIZING)
    progress.forecast = "It ends in about 3 min."
    assert describe(progress) == "finalizing  0 of 10"


@pytest.mark.parametrize(
    ("command", "asked", "said"),
    [
        (("pause", samples.BATCH), f"POST /v1/batches/{samples.BATCH}/pause", "is paused"),
        (("resume", samples.BATCH), f"POST /v1/batches/{samples.BATCH}/resume", "is waiting for its turn again"),
        (("why", samples.BATCH), f"GET /v1/batches/{samples.BATCH}/why", "It waits for 2 batches"),
        (("queue",), "GET /v1/queue", "in the places between: 2 batches of other owners"),
    ],
)
async def test_a_command_asks_once_and_says_what_came_of_it(
    gateway: CannedGateway, command: tuple[str, ...], asked: str, said: str
):
    done = await gateway.run(*command)
    assert (done.exit_code, gateway.asked) == (Exit.GOOD, [asked])
    assert said in done.stdout
    as_json = await gateway.run(*command, "--json")
    assert isinstance(json.loads(as_json.stdout), dict)


async def test_a_priority_may_be_negative(gateway: CannedGateway):
    done = await gateway.run("priority", samples.BATCH, "-30")
    assert json.loads(gateway.bodies[0]) == {"priority": -30}, done.output
    assert "is now at priority -30" in done.stdout


async def test_submit_tells_when_the_batch_will_end_and_not_to_programs(gateway: CannedGateway, tmp_path: Path):
    gateway.batch |= ENTRY | {"id": samples.BATCH}
    path = tmp_path / "in.jsonl"
    path.write_text(LINE)
    done = await gateway.run("submit", str(path), "--priority", "5")
    quiet = await gateway.run("submit", str(path), "--json")
    assert done.stdout.strip() == samples.BATCH
    assert "a window of 36h would be enough" in done.stderr and "36h would" not in quiet.stderr
    assert json.loads(gateway.bodies[1])["priority"] == 5
