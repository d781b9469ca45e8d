"""The lines about one id, out of rotated files of several services."""

import json
from pathlib import Path

import pytest

from vbatch.chassis import log_files
from vbatch.chassis.log_files import TEXT_CHARS_MAX, LinesWanted, lines_about, newest_lines, parsed

BATCH = "batch_1234"


def line(time: int, service: str = "scheduler", **keys: object) -> bytes:
    head = {"time": f"2030-01-01T00:00:{time:02}Z", "service": service, "level": "info", "event": "event_appended"}
    return json.dumps(head | keys).encode() + b"\n"


def events(folder: Path, lines_max: int = 100, bytes_max: int = 1_000_000) -> list[str]:
    found = lines_about(folder, BATCH, lines_max=lines_max, bytes_max=bytes_max)
    return [each.time[17:19] for each in found.lines]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scheduler.log.1").write_bytes(line(1, batch_id=BATCH) + line(2, batch_id="batch_other"))
    (tmp_path / "scheduler.log").write_bytes(line(4, event_id=f"{BATCH}:batch.validated"))
    (tmp_path / "gpu-runner.log").write_bytes(line(3, "gpu-runner", batch_id=BATCH) + line(5, "gpu-runner"))
    return tmp_path


def test_lines_of_all_services_and_rotated_files_stand_in_the_order_of_their_times(folder: Path):
    assert events(folder) == ["01", "03", "04"]


def test_the_newest_lines_are_kept_and_it_is_said_that_there_are_older_ones(folder: Path):
    found = lines_about(folder, BATCH, lines_max=2)
    assert [each.service for each in found.lines] == ["gpu-runner", "scheduler"] and found.has_more


def test_what_would_take_too_long_to_read_is_left_and_it_is_said(folder: Path):
    found = lines_about(folder, BATCH, lines_max=100, bytes_max=(folder / "scheduler.log").stat().st_size)
    assert len(found.lines) <= 1 and found.has_more


def test_what_another_program_prints_is_not_told(folder: Path):
    (folder / "nats.log").write_text(f"[1] [INF] {BATCH} was here\n")
    (folder / "engine.log").write_text(json.dumps({"prompt": f"{BATCH} tell me a secret"}) + "\n")
    assert events(folder) == ["01", "03", "04"]


def test_a_line_that_is_being_written_is_passed_over(folder: Path):
    with (folder / "scheduler.log").open("ab") as file:
        file.write(line(6, batch_id=BATCH)[:-10])
    assert events(folder) == ["01", "03", "04"]


def test_a_traceback_and_a_long_text_are_cut():
    found = parsed(line(1, reason="x" * 9_999, exception="Traceback", places=["a", "b"]))
    assert found is not None
    assert found.details == {"reason": "x" * TEXT_CHARS_MAX}


def test_a_folder_without_logs_has_nothing_to_tell(tmp_path: Path):
    found = lines_about(tmp_path, BATCH, lines_max=10)
    assert (list(found.lines), found.has_more) == ([], False)


def newest(folder: Path, lines_max: int = 100, **wanted: str) -> list[str]:
    return [each.time[17:19] for each in newest_lines(folder, LinesWanted(**wanted), lines_max=lines_max).lines]


def test_the_newest_lines_of_all_services_come_in_the_order_of_their_times(folder: Path):
    assert newest(folder) == ["01", "02", "03", "04", "05"]
    assert newest(folder, lines_max=2) == ["04", "05"]
    assert newest_lines(folder, LinesWanted(), lines_max=2).has_more


def test_lines_are_filtered_by_service_level_and_text(folder: Path):
    (folder / "results.log").write_bytes(line(6, "results", level="warning", reason="Disk FULL"))
    assert newest(folder, service="gpu-runner") == ["03", "05"]
    assert newest(folder, level="warning") == ["06"]
    assert newest(folder, text="disk full") == ["06"]
    assert newest(folder, without="batch_") == ["05", "06"]


def test_of_a_large_file_only_the_end_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(log_files, "TAIL_BYTES_MAX", 200)
    (folder / "scheduler.log").write_bytes(b"".join(line(each) for each in range(10, 40)))
    found = newest_lines(folder, LinesWanted(service="scheduler"), lines_max=100)
    assert found.has_more and found.lines[-1].time.endswith("39Z") and len(found.lines) < 5
