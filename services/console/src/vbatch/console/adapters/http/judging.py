"""Judging: of one answer beside its conversation, and blind votes between two batches."""

from __future__ import annotations

import time
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData
from starlette.responses import Response

from vbatch.console.adapters.http.answers import SEE_OTHER, is_from_script, page
from vbatch.console.adapters.http.visitors import Guarded, TheVisitor, Visitor
from vbatch.console.core.answer_parts import shape_of
from vbatch.console.core.comparing import ids_asked
from vbatch.console.core.judging import judgement_body, vote_body
from vbatch.console.core.new_batch import Misfilled
from vbatch.console.core.voting import CHOICES, is_swapped, vote_of
from vbatch.console.flows import pages, voting
from vbatch.console.flows.voting import Pair
from vbatch.console.ports import ApiRefused

DIGITS_MAX = 9

router = APIRouter()


@router.post("/batches/{batch_id}/answers/{line}/judge")
async def judge(request: Request, batch_id: str, line: int, visitor: Guarded) -> Response:
    """Record the judgement that one form gives of one answer, and show the answer's current judgements."""
    trouble = ""
    try:
        await visitor.api.curation.judge(judgement_body(batch_id, line, _fields(await request.form())))
    except Misfilled as error:
        trouble = str(error)
    except ApiRefused as error:
        if error.is_about_the_key:
            raise
        trouble = error.message
    return await _judged(request, visitor, batch_id, line, trouble)


@router.post("/batches/{batch_id}/answers/{line}/judgements/{judgement_id}/withdraw")
async def withdraw(request: Request, batch_id: str, line: int, judgement_id: str, visitor: Guarded) -> Response:
    await visitor.api.curation.withdraw(judgement_id)
    return await _judged(request, visitor, batch_id, line, "")


@router.get("/compare/vote")
async def vote_page(request: Request, visitor: TheVisitor) -> Response:
    """Show two answers to one prompt, without the names of their batches."""
    pair = _pair(ids_asked(request.query_params))
    ballot = await voting.ballot(visitor.api, pair, _line_of(request.query_params.get("after_line", "")))
    first, second = [await visitor.api.batch(batch_id) for batch_id in pair]
    said = request.query_params.get("said", "")
    context = {
        "ballot": ballot,
        "names": (_called(first.model, first.name), _called(second.model, second.name)),
        "said": said if said in ("a", "b", "tie") else "",
        "last": request.query_params.get("last", "")[:64],
        "last_line": _line_of(request.query_params.get("after_line", "")),
        "path": "/compare",
    }
    return page(request, visitor, "vote.html", context)


@router.post("/compare/vote")
async def vote(request: Request, visitor: Guarded) -> Response:
    """Record a vote and show the next pair; an invalid choice skips the pair."""
    fields = _fields(await request.form())
    pair, line = _pair(ids_asked(fields)), _line_of(fields.get("line", ""))
    place = {"batches": ",".join(pair), "after_line": str(line)}
    choice = fields.get("choice", "")
    if choice in CHOICES:
        said = vote_of(choice, swapped=is_swapped(pair, line))
        recorded = await visitor.api.curation.judge(vote_body(pair, line, said))
        place |= {"said": said.value, "last": recorded.data[0].id}
    return RedirectResponse(f"/compare/vote?{urlencode(place, safe=',')}", SEE_OTHER)


@router.post("/compare/vote/withdraw")
async def withdraw_vote(request: Request, visitor: Guarded) -> Response:
    """Withdraw the last vote and show its pair again."""
    fields = _fields(await request.form())
    pair, line = _pair(ids_asked(fields)), _line_of(fields.get("line", ""))
    await visitor.api.curation.withdraw(fields.get("judgement_id", "")[:64])
    place = {"batches": ",".join(pair), "after_line": str(max(0, line - 1))}
    return RedirectResponse(f"/compare/vote?{urlencode(place, safe=',')}", SEE_OTHER)


async def _judged(request: Request, visitor: Visitor, batch_id: str, line: int, trouble: str) -> Response:
    if not is_from_script(request) and not trouble:
        return RedirectResponse(f"/batches/{batch_id}/answers/{line}", SEE_OTHER)
    view = await pages.line(visitor.api, batch_id, line, shape_of(None), int(time.time()))
    if is_from_script(request):
        return page(request, visitor, "parts/judging.html", {"view": view, "trouble": trouble})
    context = {"view": view, "tab": "answers", "live": "", "trouble": trouble}
    return page(request, visitor, "line.html", context, status=400)


def _fields(form: FormData) -> dict[str, str]:
    return {name: value for name, value in form.items() if isinstance(value, str)}


def _pair(ids: list[str]) -> Pair:
    if len(ids) != 2:
        raise HTTPException(400, "A vote is between the answers of two batches.")
    return ids[0], ids[1]


def _line_of(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX else 0


def _called(model: str | None, name: str) -> str:
    """Return the model's name, with the batch's if both batches may use the same model."""
    return f"{model}, {name}" if model and model != name else name
