"""A fan-out's request names its own model, and everything else stays as its author wrote it."""

import json

import msgspec
from hypothesis import given, strategies as st

from vbatch.contracts.ids import ModelId
from vbatch.gpu_runner.core.model_override import with_model

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5), st.text())
def test_only_the_model_changes(fields: dict[str, object], model: str):
    body = msgspec.Raw(json.dumps({**fields, "model": "old"}).encode())
    assert json.loads(with_model(body, ModelId(model))) == {**fields, "model": model}


def test_numbers_keep_their_digits_and_a_repeated_key_counts_as_its_last():
    body = msgspec.Raw(b'{"model": "a", "seed": 123456789012345678901234567890, "x": 1.50, "model": "b"}')
    expected = b'{"model":"c","seed":123456789012345678901234567890,"x":1.50}'
    assert with_model(body, ModelId("c")) == expected
