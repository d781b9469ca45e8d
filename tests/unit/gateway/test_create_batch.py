import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from vbatch.contracts.ids import FileId
from vbatch.gateway.core.batches.create_batch import CreateBatchParams, is_retry, parse_create_batch
from vbatch.gateway.core.refusals import Refusal

ASK = {"input_file_id": "file-x", "endpoint": "/v1/chat/completions", "completion_window": "24h"}

TEXTS = st.sampled_from(["", "24h", "anchor", "seconds", "created_at", "\0", "\ud800", "ö"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def refusal_of(**more: Any) -> tuple[str | None, str | None, str]:
    body = {key: value for key, value in {**ASK, **more}.items() if value is not ...}
    with pytest.raises(Refusal) as refused:
        parse_create_batch(json.dumps(body).encode())
    error = refused.value.envelope()["error"]
    return error["param"], error["code"], str(error["message"])


def test_a_well_formed_ask_is_read():
    body = {**ASK, "metadata": {"a": "b"}, "output_expires_after": {"anchor": "created_at", "seconds": 3600}}
    assert parse_create_batch(json.dumps(body).encode()) == CreateBatchParams(
        FileId("file-x"), ASK["endpoint"], "24h", {"a": "b"}, 3600
    )


def test_null_is_as_good_as_nothing_for_optional_fields():
    params = parse_create_batch(json.dumps({**ASK, "metadata": None, "output_expires_after": None}).encode())
    assert (params.metadata, params.output_expires_after_seconds) == (None, None)


def test_an_endpoint_we_do_not_run_is_refused_with_those_we_do():
    assert refusal_of(endpoint="/v1/videos") == (
        "endpoint",
        "invalid_value",
        "Invalid value: '/v1/videos'. Supported values are: '/v1/chat/completions', '/v1/completions', "
        "'/v1/embeddings', '/v1/responses', '/v1/score', and '/v1/rerank'.",
    )


@pytest.mark.parametrize(
    ("window", "seconds"),
    [("24h", 86_400), ("1h", 3_600), ("60m", 3_600), ("90m", 5_400), ("168h", 604_800), ("7d", 604_800)],
)
def test_a_window_is_an_hour_to_a_week(window: str, seconds: int):
    params = parse_create_batch(json.dumps(ASK | {"completion_window": window}).encode())
    assert (params.completion_window, params.window_seconds) == (window, seconds)


@pytest.mark.parametrize(
    "window", ["", "24", "h", "24H", " 24h", "024h", "59m", "169h", "8d", "1.5h", "-1h", "٣h", "1w"]
)
def test_another_window_is_nonsense(window: str):
    words = f"Invalid value: '{window}'. Value must be '24h', or minutes, hours or days from '1h' to '168h'."
    assert refusal_of(completion_window=window) == ("completion_window", "invalid_value", words)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(None, False), ("0", False), ("", False), ("x", False), ("²", False), ("1", True), ("2", True)],
)
def test_the_official_client_says_when_it_asks_again(count: str | None, expected: bool):
    assert is_retry(count) is expected


@pytest.mark.parametrize("name", ["input_file_id", "endpoint", "completion_window"])
def test_a_missing_field_is_named(name: str):
    expected = (name, "missing_required_parameter", f"Missing required parameter: '{name}'.")
    assert refusal_of(**{name: ...}) == expected
    assert refusal_of(**{name: None}) == expected


@pytest.mark.parametrize("beside", [{"models": ["a"]}, {"requests": [{}], "input_file_id": ...}])
def test_a_dry_run_is_of_an_uploaded_file_and_one_batch(beside: dict[str, Any]):
    name = next(iter(beside))
    words = f"Mutually exclusive parameters: 'dry_run' and '{name}'. Try an uploaded file that names its model."
    assert refusal_of(dry_run={}, **beside) == (name, "mutually_exclusive_parameters", words)


def test_an_unknown_field_is_named():
    assert refusal_of(speed=1) == ("speed", "unknown_parameter", "Unknown parameter: 'speed'.")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["a"], "an array"),
        (1, "an integer"),
        (None, "null"),
        (True, "a boolean"),
        (1.5, "a decimal"),
        ({}, "an object"),
    ],
)
def test_a_metadata_value_must_be_a_string(value: Any, words: str):
    assert refusal_of(metadata={"tags": value}) == (
        "metadata.tags",
        "invalid_type",
        f"Invalid type for 'metadata.tags': expected a string, but got {words} instead.",
    )


def test_metadata_is_bounded():
    assert refusal_of(metadata={str(n): "" for n in range(17)})[:2] == ("metadata", "object_above_max_properties")
    assert refusal_of(metadata={"k" * 65: ""})[1] == "string_above_max_length"
    assert refusal_of(metadata={"k": "v" * 513})[:2] == ("metadata.k", "string_above_max_length")


@pytest.mark.parametrize(
    ("rule", "param", "code"),
    [
        ({"anchor": "created_at", "seconds": 3599}, "output_expires_after.seconds", "integer_below_min_value"),
        ({"anchor": "created_at", "seconds": 2_592_001}, "output_expires_after.seconds", "integer_above_max_value"),
        ({"anchor": "created_at", "seconds": "3600"}, "output_expires_after.seconds", "invalid_type"),
        ({"anchor": "now", "seconds": 3600}, "output_expires_after.anchor", "invalid_value"),
        ({"seconds": 3600}, "output_expires_after.anchor", "missing_required_parameter"),
        ({"anchor": "created_at", "seconds": 3600, "x": 1}, "output_expires_after.x", "unknown_parameter"),
        ([], "output_expires_after", "invalid_type"),
    ],
)
def test_an_expiry_rule_is_checked(rule: Any, param: str, code: str):
    assert refusal_of(output_expires_after=rule)[:2] == (param, code)


def test_a_file_id_that_postgres_could_not_hold_is_refused():
    assert refusal_of(input_file_id="file\0")[:2] == ("input_file_id", "invalid_value")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes):
    with pytest.raises(Refusal):
        parse_create_batch(raw)


@given(st.dictionaries(st.sampled_from([*ASK, "metadata", "output_expires_after", "x"]), VALUES))
def test_any_json_is_read_or_refused(body: dict[str, Any]):
    try:
        parse_create_batch(json.dumps(body).encode())
    except Refusal as refused:
        assert refused.answer.status == 400
