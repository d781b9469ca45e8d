"""The registry: models.toml comes into the log once, and ids may hold slashes."""

import openai
import pytest

from tests.integration.gateway.stage import MODELS, Stage, gateway_running
from tests.integration.results.stage import Place, results_running
from vbatch.contracts.message import Message
from vbatch.contracts.subjects import MODEL_EVENTS
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration


async def test_models_are_listed_with_their_ids_as_written(stage: Stage):
    assert [model.id async for model in stage.client.models.list()] == ["org/model:v1", "plain"]


async def test_a_model_with_a_slash_is_found(stage: Stage):
    model = await stage.client.models.retrieve("org/model:v1")

    assert (model.id, model.owned_by, model.object) == ("org/model:v1", "vbatch", "model")


async def test_a_restart_registers_nothing_again(stage: Stage):
    before = await stage.journal.log.last(MODEL_EVENTS)
    async with gateway_running(stage.place, stage.journal), gateway_running(stage.place, stage.journal):
        after = await stage.journal.log.last(MODEL_EVENTS)

    assert before is not None and after is not None and before.sequence == after.sequence


async def test_a_model_taken_out_of_the_file_is_removed(place: Place, journal: Journal):
    async with results_running(place, journal):
        async with gateway_running(place, journal):
            pass
        async with gateway_running(place, journal, models=MODELS[:1]) as stage:
            await place.has_projected(await journal.log.last_sequence())
            assert [model.id async for model in stage.client.models.list()] == ["org/model:v1"]


async def test_a_model_event_that_cannot_be_read_keeps_no_gateway_from_starting(place: Place, journal: Journal):
    unreadable = Message("evt.model.abc.registered", b"{", "m1", {"ce-type": "vbatch.model.registered.v99"})
    await journal.log.append(unreadable)
    async with results_running(place, journal), gateway_running(place, journal) as stage:
        await place.has_projected(await journal.log.last_sequence())
        assert len([model async for model in stage.client.models.list()]) == len(MODELS)


async def test_a_model_is_not_deleted_by_a_client(stage: Stage):
    with pytest.raises(openai.PermissionDeniedError, match="cannot be deleted"):
        await stage.client.models.delete("org/model:v1")
    with pytest.raises(openai.NotFoundError):
        await stage.client.models.delete("absent")


async def test_a_question_is_refused_where_nobody_can_load_its_model_or_the_model_does_not_answer_it(stage: Stage):
    for path, expected in (
        ("/v1/chat/completions", (503, "service_unavailable")),
        ("/v1/completions", (503, "service_unavailable")),
        ("/v1/responses", (400, "unsupported_endpoint")),
        ("/v1/embeddings", (400, "unsupported_endpoint")),
    ):
        answer = await stage.ask("POST", path, json={"model": "plain"})
        assert (answer.status, answer.error["code"]) == expected
        assert answer.headers["x-request-id"].startswith("req_")
