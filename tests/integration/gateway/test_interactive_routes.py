"""The interactive routes answer the same, whether the framework finds them or the way beside it."""

from __future__ import annotations

import hashlib
import io
import json

import pytest

from tests.integration.gateway.stage import Answer, Stage, stage_set
from tests.integration.results.stage import Place
from vbatch.contracts.ids import OwnerId
from vbatch.contracts.lane import BODY_BYTES_MAX
from vbatch.gateway.core.api_keys import ApiKeys
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration

PATHS = ["chat/completions", "completions", "responses", "embeddings", "score", "rerank"]
PLAIN = json.dumps({"model": "plain", "messages": []}).encode()
CHANGING = {"x-request-id", "openai-processing-ms", "date"}


def written_otherwise(path: str) -> str:
    """The same path, which only the framework decodes."""
    return path[:-1] + f"%{ord(path[-1]):02x}"


async def both(stage: Stage, path: str, **options: object) -> tuple[Answer, Answer]:
    beside = await stage.ask("POST", f"/v1/{path}", **options)
    through = await stage.ask("POST", f"/v1/{written_otherwise(path)}", **options)
    return beside, through


def told(answer: Answer) -> object:
    headers = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in CHANGING}
    assert answer.headers["x-request-id"].startswith("req_")
    return answer.status, headers, answer.body


@pytest.mark.parametrize("path", PATHS)
async def test_refusals_are_the_same_both_ways(stage: Stage, path: str):
    for body in (b"", b"{", b"[]", b'{"model":"absent"}', b'{"model":3}'):
        beside, through = await both(stage, path, data=body)
        assert told(beside) == told(through)
        assert 400 <= beside.status < 500 and beside.error["message"]


@pytest.mark.parametrize("path", ["chat/completions", written_otherwise("chat/completions")])
async def test_a_body_that_is_too_large_is_refused(stage: Stage, path: str):
    answer = await stage.ask("POST", f"/v1/{path}", data=io.BytesIO(b"x" * (BODY_BYTES_MAX + 1)))
    assert (answer.status, answer.error["message"]) == (400, "The body of your request is larger than 16 MiB.")


async def test_the_scheduler_away_is_the_same_both_ways(stage: Stage):
    beside, through = await both(stage, "chat/completions", data=PLAIN)
    assert told(beside) == told(through)
    assert (beside.status, beside.error["code"]) == (503, "service_unavailable")


async def test_keys_are_asked_for_both_ways(place: Place, journal: Journal):
    keys = ApiKeys({hashlib.sha256(b"right").hexdigest(): OwnerId("ann")})
    async with stage_set(place, journal, keys=keys) as stage:
        for authorization, status in ((None, 401), ("Bearer wrong", 401), ("Bearer right", 404)):
            headers = {"authorization": authorization} if authorization else {}
            beside, through = await both(stage, "chat/completions", data=b'{"model":"absent"}', headers=headers)
            assert told(beside) == told(through)
            assert beside.status == status


async def test_a_compressed_body_is_unpacked_both_ways(stage: Stage):
    beside, through = await both(stage, "chat/completions", data=b"{", headers={"content-encoding": "gzip"})
    assert told(beside) == told(through)
    assert "gzip" in beside.error["message"]


async def test_a_slash_that_belongs_to_a_name_makes_another_path(stage: Stage):
    assert (await stage.ask("POST", "/v1/chat%2Fcompletions", data=PLAIN)).error["code"] == "unknown_url"


async def test_both_ways_count_for_the_same_route(stage: Stage):
    await both(stage, "completions", data=b"{")
    metrics = (await stage.ask("GET", "/metrics")).body.decode()
    assert 'vbatch_http_requests_total{method="POST",route="/v1/completions",status="400"} 2.0' in metrics
