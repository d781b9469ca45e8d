"""Ids have OpenAI's shapes; derived ones are the same for ever."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given, strategies as st

from tests.support.events import BATCH, MODEL
from vbatch.contracts.ids import (
    OwnerId,
    batch_request_id,
    engine_request_id,
    is_batch_id,
    is_file_id,
    model_token,
    new_batch_id,
    new_file_id,
    output_file_id,
    owner_token,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@given(st.binary(min_size=16, max_size=16))
def test_new_ids_have_openais_shapes(entropy: bytes):
    assert is_batch_id(new_batch_id(NOON, entropy))
    assert is_file_id(new_file_id(entropy))


def test_batch_ids_sort_by_creation():
    earlier, later = new_batch_id(NOON, b"\xff" * 10), new_batch_id(NOON + timedelta(milliseconds=1), b"\x00" * 10)
    assert earlier < later


def test_derived_ids_never_change():
    assert output_file_id(BATCH, "output") == "file-69JrhP7y0UJN8gFEFdIGIW"
    assert batch_request_id(BATCH, 1) == "batch_req_b0c7c799b372a9de86c02d34dd68c540"
    assert output_file_id(BATCH, "output") != output_file_id(BATCH, "error")
    assert re.fullmatch("[0-9a-f]{32}", engine_request_id(BATCH, 1))


def test_a_model_id_of_any_characters_is_one_subject_token():
    assert re.fullmatch("[0-9a-f]{16}", model_token(MODEL))


def test_owners_have_subjects_of_their_own_and_readable_ones():
    names = [OwnerId(name) for name in ("ann", "ann.b", "ann-b", "ann_b", "a.n.n")]
    tokens = [owner_token(name) for name in names]
    assert tokens[:2] == ["ann", "ann~b"]
    assert len(set(tokens)) == len(names) and not any("." in token for token in tokens)
