"""A name in a path is one segment, whatever the client had to encode in it."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from vbatch.gateway.adapters.http.paths import named, routed_path


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        (b"/v1/files", ["", "v1", "files"]),
        (b"/v1/fil%65s/", ["", "v1", "files", ""]),
        (b"/v1/models/org%2Fmodel:v1", ["", "v1", "models", "org/model:v1"]),
        (b"/v1/models/org%252Fmodel", ["", "v1", "models", "org%2Fmodel"]),
        (b"/v1/batches/a%2fb/cancel", ["", "v1", "batches", "a/b", "cancel"]),
        (b"/v1/files/%ff%00%25", ["", "v1", "files", "\ufffd\0%"]),
    ],
)
def test_an_encoded_slash_parts_nothing(raw: bytes, segments: list[str]):
    assert [named(segment) for segment in routed_path(raw).split("/")] == segments


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_every_name_survives_its_way_through_a_path(names: list[str]):
    path = "/".join(quote(name, safe="") for name in names)
    assert [named(segment) for segment in routed_path(path.encode()).split("/")] == names
