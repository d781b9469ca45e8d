"""Models: listed whole, found by ids that hold slashes, never deleted."""

from __future__ import annotations

import openai

from tests.conformance.cases.server import CHAT, Server, refused

SLASHED = "org/model:v1"
MODEL_KEYS = ["id", "object", "created", "owned_by", "shutdown_date"]


def all_models_come_in_one_answer(server: Server) -> None:
    assert {CHAT, SLASHED} <= {model.id for model in server.client.models.list()}
    raw = server.raw("GET", "/v1/models").json
    assert raw["object"] == "list" and list(raw["data"][0]) == MODEL_KEYS


def a_model_is_found_by_its_id_however_it_is_written(server: Server) -> None:
    assert server.client.models.retrieve(CHAT).object == "model"
    assert server.client.models.retrieve(SLASHED).id == SLASHED
    for path in ("org%2Fmodel:v1", "org%2Fmodel%3Av1", "org/model:v1"):
        assert server.raw("GET", f"/v1/models/{path}").json["id"] == SLASHED


def an_unknown_model_is_named(server: Server) -> None:
    words = "The model 'org/absent:v1' does not exist"
    for ask in (server.client.models.retrieve, server.client.models.delete):
        with refused(openai.NotFoundError, param="model", code="model_not_found", message=words):
            ask("org/absent:v1")


def a_model_is_not_deleted(server: Server) -> None:
    with refused(openai.PermissionDeniedError, param="model"):
        server.client.models.delete(CHAT)
