"""The routes of models."""

from __future__ import annotations

from fastapi import APIRouter, Response

from vbatch.gateway.adapters.http.answers import object_answer
from vbatch.gateway.adapters.http.app_state import NEEDS_READ, TheDependencies
from vbatch.gateway.adapters.http.describe import errors
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.core.refusals import model_not_deletable
from vbatch.gateway.core.views import ModelList, ModelObject, model_view
from vbatch.gateway.flows import models as flow

router = APIRouter(prefix="/v1/models", tags=["models"], dependencies=[NEEDS_READ])


@router.get("", response_model=ModelList, responses=errors())
async def list_models(dependencies: TheDependencies) -> Response:
    """List all models that batches may use."""
    return object_answer(ModelList(data=[model_view(model) for model in await flow.list_models(dependencies)]))


@router.get("/{model_id:path}", response_model=ModelObject, responses=errors(404))
async def retrieve_model(model_id: Named, dependencies: TheDependencies) -> Response:
    """Retrieve a model; its id may contain slashes, plain or percent-encoded."""
    return object_answer(model_view(await flow.find_model(dependencies, model_id)))


@router.delete("/{model_id:path}", response_model=None, status_code=403, responses=errors(403, 404))
async def delete_model(model_id: Named, dependencies: TheDependencies) -> Response:
    """Always refused: the operator of this server declares its models in models.toml."""
    await flow.find_model(dependencies, model_id)
    raise model_not_deletable(model_id)
