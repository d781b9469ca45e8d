"""Which line goes into which file, and what the events say of the files."""

from datetime import timedelta

import msgspec
import pytest

from tests.support.events import BATCH, BATCH_CREATED, BATCH_VALIDATED, CHUNK_COMPLETED, FINALIZING, NOON, OWNER
from tests.unit.results.test_projection import CANCEL, CANCELLED, row_after
from vbatch.contracts import events as e
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.ids import output_file_id
from vbatch.results.core import sealing
from vbatch.results.core.sealing import (
    SealedFile,
    SealRefused,
    custom_id_of,
    file_stored,
    kind_of,
    must_be_bounded,
    must_be_whole,
    never_ran_fault,
    never_ran_message,
    sealed,
)

COMPLETED_ROW = row_after(BATCH_CREATED, BATCH_VALIDATED, CHUNK_COMPLETED, FINALIZING)
CANCELLED_ROW = row_after(BATCH_CREATED, BATCH_VALIDATED, CANCEL, CANCELLED)
ONE = SealedFile(blob="outputs/x", bytes=10, sha256="ab", line_count=1)
TWO = SealedFile(blob="outputs/y", bytes=20, sha256="cd", line_count=2)


def test_only_success_goes_to_the_output_file():
    assert [kind_of(code) for code in (200, 299, 300, 400, 500, None)] == ["output", "output", *["error"] * 4]


def test_a_line_that_never_ran_says_how_the_batch_ended():
    assert never_ran_fault(COMPLETED_ROW) is None
    assert never_ran_fault(CANCELLED_ROW) is RequestFault.BATCH_CANCELLED


def test_a_line_whose_answer_was_set_aside_is_an_error_of_a_completed_batch():
    row = row_after(BATCH_CREATED, BATCH_VALIDATED, FINALIZING)
    assert row.completed + row.failed < row.total
    assert never_ran_fault(row) is RequestFault.UNREADABLE_ANSWER
    assert "dead letters" in never_ran_message(RequestFault.UNREADABLE_ANSWER)
    assert never_ran_message(RequestFault.BATCH_EXPIRED) == ""


def test_a_batch_cancelled_while_validating_has_no_lines_that_never_ran():
    assert never_ran_fault(row_after(BATCH_CREATED, CANCEL, CANCELLED)) is None


def test_a_sealed_file_is_the_same_event_whenever_it_is_sealed():
    event = file_stored(COMPLETED_ROW, "output", ONE)
    assert event.file_id == output_file_id(BATCH, "output")
    assert (event.owner, event.purpose, event.filename) == (OWNER, "batch_output", f"{BATCH}_output.jsonl")
    assert (event.at, event.expires_at) == (NOON, NOON + timedelta(days=30))


def test_the_owner_may_choose_how_long_files_stay():
    row = msgspec.structs.replace(COMPLETED_ROW, output_expires_after_seconds=3600)
    assert file_stored(row, "error", ONE).expires_at == NOON + timedelta(hours=1)


def test_the_terminal_event_names_only_the_files_that_are():
    event = sealed(COMPLETED_ROW, {"error": ONE}, NOON + timedelta(seconds=5))
    assert isinstance(event, e.BatchCompleted)
    assert (event.output_file_id, event.error_file_id) == (None, output_file_id(BATCH, "error"))
    assert event.counts == e.RequestCounts(total=3, completed=1, failed=2)
    assert event.at == NOON + timedelta(seconds=5)


def test_a_clock_set_back_does_not_end_a_batch_before_its_counting():
    assert sealed(COMPLETED_ROW, {}, NOON - timedelta(days=1)).at == NOON


def test_a_batch_being_cancelled_ends_cancelled():
    assert isinstance(sealed(CANCELLED_ROW, {}, NOON), e.BatchCancelled)


def test_files_that_lack_a_line_are_refused():
    must_be_whole(COMPLETED_ROW, {"output": ONE, "error": TWO})
    with pytest.raises(SealRefused):
        must_be_whole(COMPLETED_ROW, {"error": TWO})


def test_a_batch_that_is_still_counted_is_not_sealed():
    with pytest.raises(SealRefused):
        sealed(row_after(BATCH_CREATED, BATCH_VALIDATED), {}, NOON)


def test_a_line_that_validation_never_passes_refuses_the_seal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sealing, "INPUT_LINE_BYTES_MAX", 4)
    must_be_bounded([(1, 0, b"{  }")])
    with pytest.raises(SealRefused, match="line 2 of the input file is too long"):
        must_be_bounded([(2, 0, b"{   }")])


def test_the_custom_id_is_read_as_the_client_wrote_it():
    assert custom_id_of(b'{"custom_id":"\\u00e4","method":"POST","url":"/v1/x","body":{}}') == "ä"


def test_an_input_line_that_no_longer_parses_refuses_the_seal():
    with pytest.raises(SealRefused):
        custom_id_of(b"{")
