"""Creating batches, and the batch object."""

from __future__ import annotations

from typing import Any

import openai

from tests.conformance.cases.server import CHAT, CHAT_ENDPOINT, Server, refused, requests

BATCH_KEYS = [
    "id", "object", "endpoint", "model", "errors", "input_file_id", "completion_window", "status", "output_file_id",
    "error_file_id", "created_at", "in_progress_at", "expires_at", "finalizing_at", "completed_at", "failed_at",
    "expired_at", "cancelling_at", "cancelled_at", "request_counts", "usage", "metadata",
]  # fmt: skip
USAGE_KEYS = ["input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details"]
DAY_SECONDS = 86_400
GOOD: dict[str, Any] = {"input_file_id": "file-x", "endpoint": CHAT_ENDPOINT, "completion_window": "24h"}
RULE = {"anchor": "created_at", "seconds": 3_600}
OUTPUT_RULE = "output_expires_after"
ENDPOINT_WORDS = (
    "Invalid value: '/v1/nope'. Supported values are: '/v1/chat/completions', '/v1/completions', '/v1/embeddings', "
    "'/v1/responses', '/v1/score', and '/v1/rerank'."
)
ARRAY_WORDS = "Invalid type for 'metadata.tags': expected a string, but got an array instead."
MISSING_WORDS = "Missing required parameter: 'input_file_id'."
REFUSED_CREATES: list[tuple[dict[str, Any], str, str, str | None]] = [
    ({"endpoint": "/v1/nope"}, "endpoint", "invalid_value", ENDPOINT_WORDS),
    ({"endpoint": "/v1/videos"}, "endpoint", "invalid_value", None),
    ({"endpoint": 5}, "endpoint", "invalid_type", None),
    ({"completion_window": "soon"}, "completion_window", "invalid_value", None),
    ({"completion_window": "24H"}, "completion_window", "invalid_value", None),
    ({"metadata": {"tags": ["a"]}}, "metadata.tags", "invalid_type", ARRAY_WORDS),
    ({"metadata": {"n": 1}}, "metadata.n", "invalid_type", None),
    ({"metadata": {"n": None}}, "metadata.n", "invalid_type", None),
    ({"metadata": "text"}, "metadata", "invalid_type", None),
    ({"metadata": {str(n): "x" for n in range(17)}}, "metadata", "object_above_max_properties", None),
    ({"metadata": {"k" * 65: "x"}}, "metadata." + "k" * 64, "string_above_max_length", None),
    ({"metadata": {"k": "x" * 513}}, "metadata.k", "string_above_max_length", None),
    ({OUTPUT_RULE: {**RULE, "seconds": 3_599}}, f"{OUTPUT_RULE}.seconds", "integer_below_min_value", None),
    ({OUTPUT_RULE: {**RULE, "seconds": 2_592_001}}, f"{OUTPUT_RULE}.seconds", "integer_above_max_value", None),
    ({OUTPUT_RULE: {**RULE, "anchor": "now"}}, f"{OUTPUT_RULE}.anchor", "invalid_value", None),
    ({OUTPUT_RULE: {**RULE, "anchor": None}}, f"{OUTPUT_RULE}.anchor", "invalid_type", None),
    ({OUTPUT_RULE: {"anchor": "created_at"}}, f"{OUTPUT_RULE}.seconds", "missing_required_parameter", None),
    ({"extra_body": {"speed": 1}}, "speed", "unknown_parameter", "Unknown parameter: 'speed'."),
    ({"extra_body": {"input_file_id": None}}, "input_file_id", "missing_required_parameter", MISSING_WORDS),
]


def a_new_batch_is_validating_and_has_every_key(server: Server) -> None:
    made = server.client.batches.with_raw_response.create(**{**GOOD, "input_file_id": server.upload(requests(1)).id})
    raw, batch = made.http_response.json(), made.parse()
    assert made.http_response.status_code == 200
    assert list(raw)[: len(BATCH_KEYS)] == BATCH_KEYS, list(raw)
    assert list(raw["usage"]) == USAGE_KEYS and list(raw["request_counts"]) == ["total", "completed", "failed"]
    assert (batch.status, raw["model"], batch.errors, batch.metadata) == ("validating", None, None, None)
    assert (batch.id[:6], len(batch.id), batch.object) == ("batch_", 38, "batch")
    assert batch.expires_at == batch.created_at + DAY_SECONDS
    assert raw["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    assert raw["usage"]["total_tokens"] == 0
    unset = [key for key in BATCH_KEYS if key.endswith(("_at", "file_id")) and raw[key] is None]
    assert len(unset) == 9, unset


def metadata_comes_back_as_it_was_given(server: Server) -> None:
    full = {f"{n:064}": "ü" * 512 for n in range(16)}
    odd = {"": "", "emoji \U0001f600": "\u2028", 'quote"': "back\\slash", "nul\0": "\0"}
    for metadata in (full, odd, {}, None):
        batch = server.client.batches.create(**GOOD, metadata=metadata)
        assert server.client.batches.retrieve(batch.id).metadata == metadata


def a_malformed_create_is_refused_and_makes_nothing(server: Server) -> None:
    before = server.raw("GET", "/v1/batches?limit=1").json["first_id"]
    for change, param, code, message in REFUSED_CREATES:
        expected = {"param": param, "code": code} | ({"message": message} if message else {})
        with refused(openai.BadRequestError, **expected):
            server.client.batches.create(**{**GOOD, **change})
    assert server.raw("GET", "/v1/batches?limit=1").json["first_id"] == before


def a_batch_that_is_not_there_is_named(server: Server) -> None:
    absent = "batch_" + "0" * 32
    for ask in (server.client.batches.retrieve, server.client.batches.cancel):
        with refused(openai.NotFoundError, param=None, code=None, message=f"No batch found with id '{absent}'."):
            ask(absent)
        words = "Invalid 'batch_id': 'nope'. Expected an ID that begins with 'batch'."
        with refused(openai.BadRequestError, param="batch_id", code="invalid_value", message=words):
            ask("nope")


def a_create_sent_again_makes_no_second_batch(server: Server) -> None:
    ask = {**GOOD, "metadata": {"sent": "again"}}
    first = server.client.batches.create(**ask)
    again = server.client.batches.create(**ask, extra_headers={"x-stainless-retry-count": "1"})
    keyed = [server.client.batches.create(**ask, extra_headers={"Idempotency-Key": f"{first.id}"}) for _ in range(2)]
    assert again.id == first.id
    assert keyed[0].id == keyed[1].id != first.id


def what_is_written_can_be_read_at_once(server: Server) -> None:
    for _ in range(5):
        batch = server.create(requests(1, model=CHAT))
        assert server.client.batches.retrieve(batch.id).id == batch.id
        assert server.client.files.retrieve(batch.input_file_id).id == batch.input_file_id


async def the_async_client_does_the_same(server: Server) -> None:
    options: dict[str, Any] = {"api_key": "none", "_strict_response_validation": True}
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", **options) as client:
        made = await client.files.create(file=("in.jsonl", requests(2)), purpose="batch")
        batch = await client.batches.create(**{**GOOD, "input_file_id": made.id})
        assert (await client.batches.retrieve(batch.id)).id == batch.id
        assert batch.id in [batch.id async for batch in client.batches.list(limit=100)]
