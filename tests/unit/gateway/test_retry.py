"""Which requests of an ended batch run again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from tests.support.events import BATCH_CREATED
from vbatch.contracts.ids import BatchId, made_file_id
from vbatch.contracts.lifecycle import BatchStatus
from vbatch.gateway.core.batches.retry import (
    RETRYABLE,
    Outcomes,
    RetryParams,
    SelectedLines,
    Selection,
    Unanswered,
    check_retryable,
    is_retry_by,
    parse_retry,
    retry_content,
)
from vbatch.gateway.core.records import batch_of
from vbatch.gateway.core.refusals import Refusal

EVERY = RetryParams(frozenset(Unanswered))
OLD = replace(batch_of(BATCH_CREATED, 1), status=BatchStatus.COMPLETED)


def line(custom_id: str) -> bytes:
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/x", "body": {}}).encode()


def test_an_empty_body_selects_every_request_without_a_successful_answer():
    assert parse_retry(b"") == parse_retry(b"{}") == EVERY


def test_a_selection_is_read_and_custom_ids_take_its_place():
    assert parse_retry(b'{"select": ["failed"]}').select == {Unanswered.FAILED}
    assert parse_retry(b'{"custom_ids": ["a", "b", "a"], "priority": -3}').custom_ids == frozenset({"a", "b"})


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"select": ["failed"], "custom_ids": ["a"]}, "custom_ids"),
        ({"select": []}, "select"),
        ({"select": "failed"}, "select"),
        ({"select": ["lost"]}, "select"),
        ({"select": ["failed"] * 9}, "select"),
        ({"select": [1]}, "select[0]"),
        ({"custom_ids": []}, "custom_ids"),
        ({"custom_ids": ["a", 1]}, "custom_ids[1]"),
        ({"custom_ids": ["x" * 1_025]}, "custom_ids[0]"),
        ({"completion_window": "1s"}, "completion_window"),
        ({"priority": 101}, "priority"),
        ({"metadata": {}}, "metadata"),
    ],
)
def test_a_malformed_ask_names_its_parameter(body: dict[str, object], param: str):
    with pytest.raises(Refusal) as refused:
        parse_retry(json.dumps(body).encode())
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("status", "never_ran"),
    [
        (BatchStatus.EXPIRED, Unanswered.EXPIRED),
        (BatchStatus.CANCELLED, Unanswered.CANCELLED),
        (BatchStatus.COMPLETED, Unanswered.FAILED),
    ],
)
def test_a_line_without_an_outcome_is_what_the_end_of_its_batch_made_of_it(status: BatchStatus, never_ran: Unanswered):
    outcomes = Outcomes(status)
    outcomes.note(2, is_success=True)
    outcomes.note(900, is_success=False)
    assert [outcomes.of(place) for place in (1, 2, 900, 901)] == [never_ran, None, Unanswered.FAILED, never_ran]


@given(
    st.lists(st.sampled_from([b"", b"  ", line("a"), line("b") + b"\r", line("c")])), st.integers(1, 40), st.booleans()
)
def test_lines_are_selected_by_their_physical_number_however_the_file_is_cut(
    raws: list[bytes], size: int, has_mark: bool
):
    content = (b"\xef\xbb\xbf" if has_mark else b"") + b"\n".join(raws)
    lines = SelectedLines(lambda number, _raw: number % 2 == 1)
    found = b"".join(lines.feed(content[at : at + size]) for at in range(0, len(content), size)) + lines.end()

    expected = [raw.strip() for place, raw in enumerate(raws, 1) if place % 2 == 1 and raw.strip()]
    assert found.splitlines() == expected and lines.count == len(expected)


def test_a_custom_id_that_no_line_has_is_named():
    selection = Selection(RetryParams(frozenset(), frozenset({"a", "z"})), Outcomes(BatchStatus.COMPLETED))
    assert [selection.has(1, line("a")), selection.has(2, line("b"))] == [True, False]
    with pytest.raises(Refusal, match="1 of them are in no request of this batch: 'z'"):
        selection.check(1)


@pytest.mark.parametrize("status", sorted(set(BatchStatus) - RETRYABLE))
def test_only_a_batch_that_ended_is_retried(status: BatchStatus):
    with pytest.raises(Refusal, match=f"Cannot retry a batch with status '{status}'"):
        check_retryable(replace(OLD, status=status))


def test_a_retry_is_recognised_by_its_batch_selection_window_and_priority():
    new_id = BatchId("batch_" + "9" * 32)
    file_id = made_file_id(new_id, retry_content(OLD, EVERY))
    new = replace(OLD, id=new_id, retry_of=OLD.id, input_file_id=file_id)
    assert is_retry_by(new, OLD, EVERY)
    others = [replace(EVERY, select=frozenset({Unanswered.FAILED})), replace(EVERY, priority=3),
              replace(EVERY, completion_window="1h"), replace(EVERY, custom_ids=frozenset({"a"}))]  # fmt: skip
    assert not any(is_retry_by(new, OLD, other) for other in others)
    assert not is_retry_by(replace(new, retry_of=new_id), OLD, EVERY)


def test_a_line_with_half_an_emoji_in_its_body_is_found_by_its_custom_id():
    raw = line("a").replace(b"{}", b'{"text": "\\ud83d"}')
    selection = Selection(RetryParams(frozenset(), frozenset({"a"})), Outcomes(BatchStatus.COMPLETED))
    assert selection.has(1, raw)
