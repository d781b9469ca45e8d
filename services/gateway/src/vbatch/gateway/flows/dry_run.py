"""A dry run: checks a file, runs a few lines in the interactive lane, and estimates the rest. It writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import msgspec

from vbatch.contracts.dry_run import FileSample, PlacedLine
from vbatch.contracts.ids import FileId, ModelId, OwnerId
from vbatch.contracts.lane import TOKENIZE
from vbatch.gateway.core.answer_usage import usage_in
from vbatch.gateway.core.batches.create_batch import CreateBatchParams
from vbatch.gateway.core.dry_run import (
    SHOWN_BYTES_MAX,
    Counted,
    DryRunParams,
    EstimateParams,
    Range,
    input_tokens,
    output_tokens,
    parts_of,
    token_count,
    tokenize_body,
)
from vbatch.gateway.core.dry_run_views import DryRunObject, EstimateObject, TriedLineObject, estimate_view
from vbatch.gateway.core.interactive import InteractiveRequest
from vbatch.gateway.core.records import FileRecord
from vbatch.gateway.core.server_views import FileFaultObject
from vbatch.gateway.flows.files import find_file
from vbatch.gateway.flows.interactive import Interactive, content_of
from vbatch.gateway.ports import Dependencies, DryRunFeed

FAULTS_SHOWN_MAX = 200
ASKS_AT_ONCE_MAX = 8


@dataclass(frozen=True, slots=True)
class _Tried:
    """A line that was run; the tokens are those that the answer reports, None if it reports none."""

    shown: TriedLineObject
    length: int
    tokens_in: int | None
    tokens_out: int | None


@dataclass(frozen=True, slots=True)
class DryRun:
    """The dry run of one file, for one request."""

    dependencies: Dependencies
    feed: DryRunFeed
    interactive: Interactive
    request_id: str
    _at_once: asyncio.Semaphore

    async def run(self, owner: OwnerId, file_id: FileId, params: CreateBatchParams, ask: DryRunParams) -> DryRunObject:
        """Run it. Raises Refusal, SchedulerUnavailable, BlobTrouble."""
        file = await find_file(self.dependencies, owner, file_id)
        sample = await self.feed.sample(file.blob, file.bytes, params.endpoint, ask.lines)
        if sample.model is None:
            return _answer(file, params, sample, [], None)
        tried = await self._all_tried(file, params.endpoint, sample.model, sample.tried)
        counted = await self._all_counted(file, params.endpoint, sample.model, sample.sampled)
        estimate = await self._estimate(params, sample, tried, counted, ask)
        return _answer(file, params, sample, [each.shown for each in tried], estimate)

    async def _all_tried(
        self, file: FileRecord, endpoint: str, model: ModelId, lines: Sequence[PlacedLine]
    ) -> list[_Tried]:
        return await asyncio.gather(*(self._tried(file, endpoint, model, line) for line in lines))

    async def _tried(self, file: FileRecord, endpoint: str, model: ModelId, line: PlacedLine) -> _Tried:
        custom_id, body = parts_of(await self._read(file, line))
        began = perf_counter()
        status, content = await self._asked(InteractiveRequest(endpoint, model, body, is_streamed=False))
        usage = usage_in(content)
        shown = TriedLineObject(
            line=line.line,
            custom_id=custom_id,
            status_code=status,
            seconds=round(perf_counter() - began, 3),
            body=_json(content),
        )
        return _Tried(shown, line.length, usage.input_tokens if usage else None, usage.output_tokens if usage else None)

    async def _all_counted(
        self, file: FileRecord, endpoint: str, model: ModelId, lines: Sequence[PlacedLine]
    ) -> list[Counted]:
        found = await asyncio.gather(*(self._counted(file, endpoint, model, line) for line in lines))
        return [counted for counted in found if counted is not None]

    async def _counted(self, file: FileRecord, endpoint: str, model: ModelId, line: PlacedLine) -> Counted | None:
        """Return the tokens of one line by the model's own tokenizer; None if its engine does not say."""
        _, body = parts_of(await self._read(file, line))
        question = tokenize_body(endpoint, body)
        if question is None:
            return None
        status, content = await self._asked(InteractiveRequest(TOKENIZE, model, question, is_streamed=False))
        tokens = token_count(content) if status == 200 else None
        return None if tokens is None else Counted(line.length, tokens)

    async def _asked(self, ask: InteractiveRequest) -> tuple[int, bytes]:
        """Return the status and the body of the answer. Raises Refusal."""
        async with self._at_once:
            answer = await self.interactive.open(ask, self.request_id)
            try:
                return answer.status, await content_of(answer)
            finally:
                answer.close()

    async def _read(self, file: FileRecord, line: PlacedLine) -> bytes:
        return await self.dependencies.blobs.read_range(file.blob, line.offset, line.length)

    async def _estimate(
        self,
        params: CreateBatchParams,
        sample: FileSample,
        tried: Sequence[_Tried],
        counted: Sequence[Counted],
        ask: DryRunParams,
    ) -> EstimateObject:
        told = [Counted(each.length, each.tokens_in) for each in tried if each.tokens_in is not None]
        sampled = counted or told
        tokens_in = input_tokens(sampled, sample.requests, sample.input_bytes)
        answered = [each.tokens_out for each in tried if each.tokens_out is not None]
        work = _work(params, sample, tokens_in, output_tokens(answered, None, sample.requests))
        run = await self.feed.estimate(work)
        tokens_out = output_tokens(answered, run.output_tokens_a_request, sample.requests)
        watts = self.interactive.watts_of(work.model)
        return estimate_view(tokens_in, len(sampled), tokens_out, run=run, watts=watts, prices=ask.prices)


def dry_run(dependencies: Dependencies, feed: DryRunFeed, interactive: Interactive, request_id: str) -> DryRun:
    return DryRun(dependencies, feed, interactive, request_id, asyncio.Semaphore(ASKS_AT_ONCE_MAX))


def _work(
    params: CreateBatchParams, sample: FileSample, tokens_in: Range | None, tokens_out: Range | None
) -> EstimateParams:
    return EstimateParams(
        model=sample.model or ModelId(""),
        requests=sample.requests,
        input_tokens=round(tokens_in.value) if tokens_in else 0,
        output_tokens=round(tokens_out.value) if tokens_out else 0,
        window_seconds=params.window_seconds,
    )


def _answer(
    file: FileRecord,
    params: CreateBatchParams,
    sample: FileSample,
    answers: list[TriedLineObject],
    estimate: EstimateObject | None,
) -> DryRunObject:
    return DryRunObject(
        input_file_id=file.id,
        endpoint=params.endpoint,
        completion_window=params.completion_window,
        is_fit=not sample.faults,
        model=sample.model,
        requests=sample.requests,
        faults=[
            FileFaultObject(code=fault.code.value, line=fault.line, message=fault.message, param=fault.param, text=None)
            for fault in sample.faults[:FAULTS_SHOWN_MAX]
        ],
        answers=answers,
        estimate=estimate,
    )


def _json(content: bytes) -> object:
    if len(content) > SHOWN_BYTES_MAX:
        return None
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return content.decode(errors="replace")
