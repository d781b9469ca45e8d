"""The playground: one prompt to one model on the interactive lane, token by token."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from vbatch.console.adapters.http.answers import page
from vbatch.console.adapters.http.visitors import Guarded, TheVisitor, Visitor, parts_of
from vbatch.console.core.api_objects import Model, Runner
from vbatch.console.core.new_batch import Draft, Misfilled
from vbatch.console.core.playground import (
    Failed,
    Prompt,
    Said,
    Sum,
    Text,
    Waiting,
    batch_line,
    prompt_snippets,
    read_prompt,
    request_of,
)
from vbatch.console.core.wording import shown_text
from vbatch.console.flows.playground import Answer, Heard, answer_stream, whole_answer
from vbatch.contracts.endpoints import CHAT_COMPLETIONS

EVENT_STREAM = "text/event-stream"
"""The one media type that is not buffered for compression."""

router = APIRouter(prefix="/playground")


@router.get("")
async def playground(request: Request, visitor: TheVisitor) -> Response:
    """Show the form, filled in from the address, so that a prompt can be kept and shared."""
    return await _page(request, visitor, read_prompt(request.query_params))


@router.post("")
async def ask(request: Request, visitor: Guarded) -> Response:
    """Return the whole answer in a page, for browsers without scripts."""
    prompt = await _prompt(request)
    try:
        answer = await whole_answer(visitor.api, request_of(prompt), time.monotonic)
    except Misfilled as error:
        return await _page(request, visitor, prompt, trouble=str(error), status=400)
    return await _page(request, visitor, prompt, answer=answer)


@router.post("/stream")
async def stream(request: Request, visitor: Guarded) -> Response:
    """Stream the answer as it comes: server-sent events, each a JSON object."""
    try:
        body = request_of(await _prompt(request))
    except Misfilled as error:
        return StreamingResponse(iter([_line(Heard(Failed(str(error)), 0.0))]), media_type=EVENT_STREAM)
    headers = {"x-accel-buffering": "no"}
    return StreamingResponse(_lines(visitor, body), media_type=EVENT_STREAM, headers=headers)


@router.post("/code")
async def code(request: Request, visitor: Guarded) -> Response:
    """Return the same request as code: a part of the page."""
    prompt = await _prompt(request)
    try:
        snippets, trouble = prompt_snippets(parts_of(request).settings.shown_api_url, request_of(prompt)), ""
    except Misfilled as error:
        snippets, trouble = [], str(error)
    return page(request, visitor, "parts/prompt_code.html", {"snippets": snippets, "trouble": trouble})


@router.post("/batch")
async def as_batch(request: Request, visitor: Guarded) -> Response:
    """Show the form of a new batch, with this request as its first line."""
    prompt = await _prompt(request)
    try:
        line = batch_line(request_of(prompt))
    except Misfilled as error:
        return await _page(request, visitor, prompt, trouble=str(error), status=400)
    models = [model.id for model in (await visitor.api.registry()).data]
    draft = Draft(lines=line, endpoint=CHAT_COMPLETIONS)
    return page(request, visitor, "new.html", {"draft": draft, "trouble": "", "models": models})


async def _prompt(request: Request) -> Prompt:
    form = await request.form()
    return read_prompt({name: value for name, value in form.items() if isinstance(value, str)})


async def _page(
    request: Request,
    visitor: Visitor,
    prompt: Prompt,
    *,
    answer: Answer | None = None,
    trouble: str = "",
    status: int = 200,
) -> Response:
    models = [model for model in (await visitor.api.registry()).data if CHAT_COMPLETIONS in model.endpoints]
    runners = (await visitor.api.runners()).data
    context = {"prompt": prompt, "models": _loaded_first(models, runners), "answer": answer, "trouble": trouble}
    return page(request, visitor, "playground.html", context, status=status)


def _loaded_first(models: list[Model], runners: tuple[Runner, ...]) -> list[tuple[Model, bool]]:
    loaded = {runner.model for runner in runners}
    return sorted(((model, model.id in loaded) for model in models), key=lambda each: not each[1])


async def _lines(visitor: Visitor, body: Mapping[str, object]) -> AsyncGenerator[bytes, None]:
    """Yield the lines of the answer; closing it with the connection withdraws the request from the engine."""
    async with aclosing(answer_stream(visitor.api, body, time.monotonic)) as heard:
        async for each in heard:
            yield _line(each)


def _line(heard: Heard) -> bytes:
    said = _told(heard.said) | {"seconds": round(heard.seconds, 3)}
    return b"data: " + json.dumps(said).encode() + b"\n\n"


def _told(said: Said) -> dict[str, object]:
    match said:
        case Waiting():
            return {"kind": "waiting"}
        case Text():
            return {"kind": "reasoning" if said.is_reasoning else "text", "text": shown_text(said.text)}
        case Sum():
            return {
                "kind": "sum",
                "finish_reason": said.finish_reason,
                "input_tokens": said.input_tokens,
                "output_tokens": said.output_tokens,
            }
        case Failed():
            return {"kind": "failed", "words": shown_text(said.words)}
