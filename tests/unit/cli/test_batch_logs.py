"""The log lines of one batch, as a person reads them."""

import json
from pathlib import Path

import pytest

from vbatch.cli.batch_logs import show_batch_logs
from vbatch.cli.exits import CommandError, Misused

BATCH = "batch_1234"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    lines = [
        {"event": "event_appended", "event_id": f"{BATCH}:batch.validated", "sequence": 7, "batch_id": BATCH},
        {"event": "event_appended", "event_id": "batch_other:batch.validated", "sequence": 8},
        {"event": "event_appended", "event_id": f"{BATCH}:batch.finalizing", "sequence": 9, "batch_id": BATCH},
    ]
    head = {"service": "scheduler", "level": "info"}
    folder = tmp_path / "logs"
    folder.mkdir()
    text = "".join(
        json.dumps(head | {"time": f"2030-01-01T0{number}"} | line) + "\n" for number, line in enumerate(lines)
    )
    (folder / "scheduler.log").write_text(text)
    return tmp_path


def test_a_line_says_when_who_and_what_without_repeating_the_id(home: Path, capsys: pytest.CaptureFixture[str]):
    show_batch_logs(home, BATCH, 50, as_json=False)
    first = capsys.readouterr().out.splitlines()[0]
    assert first.split() == [
        "2030-01-01T00", "scheduler", "info", "event_appended", "event_id=batch.validated", "sequence=7",
    ]  # fmt: skip


def test_for_programs_each_line_is_a_document(home: Path, capfdbinary: pytest.CaptureFixture[bytes]):
    show_batch_logs(home, BATCH, 50, as_json=True)
    documents = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [document["details"]["sequence"] for document in documents] == [7, 9]


def test_that_there_are_older_lines_is_said(home: Path, capsys: pytest.CaptureFixture[str]):
    show_batch_logs(home, BATCH, 1, as_json=False)
    forecast = capsys.readouterr()
    assert "batch.finalizing" in forecast.out and "there are older ones" in forecast.err


def test_that_nothing_was_said_is_said(home: Path, capsys: pytest.CaptureFixture[str]):
    show_batch_logs(home, "batch_nobody", 50, as_json=False)
    assert "No service said anything" in capsys.readouterr().err


def test_a_word_that_is_no_id_is_refused(home: Path):
    with pytest.raises(Misused, match="vbatch batches"):
        show_batch_logs(home, "a", 50, as_json=False)


def test_a_machine_without_logs_is_named(tmp_path: Path):
    with pytest.raises(CommandError, match="VBATCH_HOME"):
        show_batch_logs(tmp_path, BATCH, 50, as_json=False)
