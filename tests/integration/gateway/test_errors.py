"""Every error has the one envelope and OpenAI's headers, whoever makes it."""

import hashlib
import json
import re

import openai
import pytest

from tests.integration.gateway.stage import CHAT, Stage, client_of, stage_set
from tests.integration.results.stage import Place
from tests.support.events import BATCH, FILE
from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.api_keys import ApiKeys
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration

REQUEST_ID = re.compile(r"req_[0-9a-f]{32}")


CATALOGUE: list[tuple[str, str, tuple[int, str | None, str | None, str]]] = [
    ("GET", "/v1/nope", (404, None, "unknown_url", "Invalid URL (GET /v1/nope)")),
    ("PUT", "/v1/batches", (405, None, "method_not_supported", "Not allowed to PUT on /v1/batches.")),
    ("GET", f"/v1/files/{FILE}", (404, "id", None, f"No such File object: {FILE}")),
    ("GET", f"/v1/files/{FILE}/content", (404, "id", None, f"No such File object: {FILE}")),
    ("DELETE", "/v1/files/file-x", (404, "id", None, "No such File object: file-x")),
    ("GET", "/v1/files/..%2Fkeys/content", (404, "id", None, "No such File object: ../keys")),
    ("GET", f"/v1/batches/{BATCH}", (404, None, None, f"No batch found with id '{BATCH}'.")),
    ("POST", f"/v1/batches/{BATCH}/cancel", (404, None, None, f"No batch found with id '{BATCH}'.")),
    ("GET", f"/v1/batches/{BATCH}/results", (404, None, None, f"No batch found with id '{BATCH}'.")),
    ("GET", f"/v1/batches/{BATCH}/events", (404, None, None, f"No batch found with id '{BATCH}'.")),
    (
        "GET",
        "/v1/batches/x",
        (400, "batch_id", "invalid_value", "Invalid 'batch_id': 'x'. Expected an ID that begins with 'batch'."),
    ),
    (
        "GET",
        "/v1/batches?limit=101",
        (
            400,
            "limit",
            "integer_above_max_value",
            "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead.",
        ),
    ),
    ("GET", "/v1/models/no%2Fsuch", (404, "model", "model_not_found", "The model 'no/such' does not exist")),
    (
        "POST",
        "/v1/batches",
        (400, None, None, "We could not parse the JSON body of your request. At column 1: expecting value."),
    ),
    (
        "POST",
        "/v1/files",
        (
            400,
            None,
            None,
            "We could not parse the multipart body of your request: "
            "expected Content-Type multipart/form-data with a boundary.",
        ),
    ),
]


async def test_each_error_of_the_catalogue_has_its_status_param_code_and_words(stage: Stage):
    answers = [await stage.ask(method, path) for method, path, _ in CATALOGUE]

    found = [
        (answer.status, answer.error["param"], answer.error["code"], answer.error["message"]) for answer in answers
    ]
    assert found == [expected for _, _, expected in CATALOGUE]


@pytest.mark.parametrize("path", ["/v1/nope", "/v1/models", "/health", "/openapi.json"])
async def test_every_answer_carries_the_headers_of_openai(stage: Stage, path: str):
    headers = (await stage.ask("GET", path)).headers

    assert REQUEST_ID.fullmatch(headers["x-request-id"])
    assert headers["openai-version"] == "2020-10-01"
    assert int(headers["openai-processing-ms"]) >= 0
    assert headers["openai-organization"] and headers["openai-project"]


async def test_an_error_of_files_says_it_twice_as_openai_does(stage: Stage):
    for path in ("/v1/files/file-x", "/v1/files?limit=0", "/v1/files/file-x/content"):
        answer = await stage.ask("GET", path)
        assert answer.json["detail"] == {key: answer.error[key] for key in ("message", "code")}
    assert "detail" not in (await stage.ask("GET", "/v1/batches?limit=0")).json


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/files", "GET, POST"),
        ("HEAD", "/v1/files/file-x", "DELETE, GET"),
        ("OPTIONS", "/v1/models/org%2Fmodel:v1", "DELETE, GET"),
        ("GET", f"/v1/batches/{BATCH}/cancel", "POST"),
    ],
)
async def test_a_wrong_method_is_told_those_that_there_are(stage: Stage, method: str, path: str, allowed: str):
    answer = await stage.ask(method, path)

    assert (answer.status, answer.headers["Allow"]) == (405, allowed)


async def test_the_description_names_every_route_and_its_errors(stage: Stage):
    paths = (await stage.ask("GET", "/openapi.json")).json["paths"]

    assert len(paths) == 96
    described = {
        (path, method, status)
        for path, methods in paths.items()
        for method, operation in methods.items()
        for status, answer in operation["responses"].items()
        if "ErrorEnvelope" in json.dumps(answer)
    }
    assert ("/v1/batches/{batch_id}/cancel", "post", "409") in described
    download = paths["/v1/files/{file_id}/content"]["get"]["responses"]
    assert {"200", "206", "400", "401", "403", "404", "416", "429", "500", "503"} == set(download)
    assert "FileErrorEnvelope" in json.dumps(download["404"])
    assert not [status for _, _, status in described if status == "422"]


async def test_the_interactive_pages_need_no_other_host(stage: Stage):
    page = (await stage.ask("GET", "/docs")).body.decode()
    script = await stage.ask("GET", "/docs/assets/swagger-ui-bundle.js")

    assert "https://" not in page
    assert script.status == 200


async def test_owners_never_see_each_other(place: Place, journal: Journal):
    owners = {hashlib.sha256(key.encode()).hexdigest(): OwnerId(name) for name, key in [("ann", "k-a"), ("bob", "k-b")]}
    async with stage_set(place, journal, keys=ApiKeys(owners)) as stage:
        async with client_of(stage.origin, "k-a") as ann, client_of(stage.origin, "k-b") as bob:
            batch = await ann.batches.create(input_file_id="file-x", endpoint=CHAT, completion_window="24h")
            with pytest.raises(openai.NotFoundError):
                await bob.batches.retrieve(batch.id)
            assert [found.id async for found in ann.batches.list()] == [batch.id]
            assert [found.id async for found in bob.batches.list()] == []


async def test_a_server_with_keys_refuses_none_and_wrong_ones(place: Place, journal: Journal):
    keys = ApiKeys({hashlib.sha256(b"right").hexdigest(): OwnerId("ann")})
    async with stage_set(place, journal, keys=keys) as stage:
        missing = await stage.ask("GET", "/v1/models")
        wrong = await stage.ask("GET", "/v1/models", headers={"Authorization": "Bearer wrong"})
        right = await stage.ask("GET", "/v1/models", headers={"Authorization": "Bearer right"})
        basic = await stage.ask("GET", "/v1/models", headers={"Authorization": "Basic OnJpZ2h0"})
        azure = await stage.ask("GET", "/v1/models", headers={"api-key": "right"})
        health = await stage.ask("GET", "/health")

    assert (missing.status, missing.error["message"]) == (401, "Missing bearer or basic authentication in header")
    assert (wrong.status, wrong.error["code"]) == (401, "invalid_api_key")
    assert wrong.error["message"].startswith("Incorrect API key provided: ********. You can find your API key at ")
    assert (basic.status, azure.status) == (200, 401)
    assert (right.status, right.headers["openai-organization"]) == (200, "ann")
    assert health.status == 200


async def test_a_key_that_asks_too_often_is_told_when_to_come_again(place: Place, journal: Journal):
    limits = {"creates_per_minute_max": 2, "uploads_per_minute_max": 1}
    async with stage_set(place, journal, **limits) as stage:
        ask = {"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h"}
        creates = [await stage.ask("POST", "/v1/batches", json=ask) for _ in range(3)]
        uploads = [await stage.ask("POST", "/v1/uploads", json={}) for _ in range(2)]

    assert [answer.status for answer in creates] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in creates] == ["1", "0", "0"]
    assert (creates[2].error["type"], creates[2].error["code"]) == ("requests", "rate_limit_exceeded")
    assert 0 < int(creates[2].headers["Retry-After"]) <= 30
    assert [answer.status for answer in uploads] == [400, 429]
