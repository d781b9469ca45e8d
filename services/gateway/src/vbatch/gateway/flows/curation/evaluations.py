"""Evaluations: a model judges answers in a batch of its own; results records its verdicts as judgements."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import islice

from vbatch.contracts import completion_window, events as e
from vbatch.contracts.evaluations import judge_name
from vbatch.contracts.ids import BatchId, EvaluationId, OwnerId, evaluation_id_of, made_file_id, new_batch_id
from vbatch.contracts.subjects import evaluation_events
from vbatch.gateway.core.access import Caller
from vbatch.gateway.core.curation.evaluations import EvaluationParams, EvaluationRecord, no_such_evaluation
from vbatch.gateway.core.curation.rubrics import JUDGE_ENDPOINT, checked_rubric, judge_requests
from vbatch.gateway.core.refusals import no_such_model
from vbatch.gateway.flows.curation.choosing import chosen_answers, versions_of_models
from vbatch.gateway.flows.made_files import made_file
from vbatch.gateway.flows.quotas import must_have_room_for_batches
from vbatch.gateway.flows.writing import append_all, must_read
from vbatch.gateway.ports import CurationReads, Dependencies
from vbatch.journal.port import Conflict, Guard

REQUESTS_AT_ONCE = 100
METADATA_KEY = "evaluation"
"""A key in the metadata of the batch of judge requests, which shows its owner where the batch comes from."""


class Evaluations:
    def __init__(self, dependencies: Dependencies, reads: CurationReads) -> None:
        self._dependencies = dependencies
        self._reads = reads

    async def ask(self, caller: Caller, params: EvaluationParams) -> EvaluationRecord:
        """Return a new evaluation, whose judge batch waits for its model. The same `request_id` returns the same
        evaluation.

        Raises Refusal if no answer matches, the model is unknown, or a quota is used up.
        """
        request_id = params.chosen.request_id or self._dependencies.entropy(16).hex()
        evaluation_id = evaluation_id_of(caller.owner, request_id)
        subjects = evaluation_events(evaluation_id)
        if await self._dependencies.log.last(subjects) is None:
            try:
                await append_all(
                    self._dependencies, await self._events(caller, params, evaluation_id), Guard(subjects, 0)
                )
            except Conflict:
                pass  # the same request was made twice at the same moment
        newest = await self._dependencies.log.last(subjects)
        if newest is not None:
            await must_read(self._dependencies, newest.sequence)
        return await self.find(caller.owner, evaluation_id)

    async def find(self, owner: OwnerId, evaluation_id: str) -> EvaluationRecord:
        """Raises Refusal."""
        found = await self._reads.evaluations(owner, EvaluationId(evaluation_id))
        if not found:
            raise no_such_evaluation(evaluation_id)
        return found[0]

    async def page(self, owner: OwnerId) -> list[EvaluationRecord]:
        """Return the evaluations, newest first."""
        return await self._reads.evaluations(owner, None)

    async def _events(self, caller: Caller, params: EvaluationParams, evaluation_id: EvaluationId) -> list[e.Event]:
        """Return the events that must be appended together; the judge requests are durable before any event names
        them."""
        dependencies, batch_id = self._dependencies, self._new_batch_id()
        template = checked_rubric(params.rubric, params.kind)
        if await dependencies.reads.model(params.model) is None:
            raise no_such_model(params.model, "model")
        await must_have_room_for_batches(dependencies, caller.owner, params.priority, 1)
        chosen = await chosen_answers(dependencies, self._reads, caller.owner, params.chosen)
        requests = judge_requests(chosen.items, template, params.kind, model=params.model, tokens_max=params.tokens_max)
        stored = await made_file(
            dependencies,
            caller.owner,
            file_id=made_file_id(batch_id, evaluation_id),
            filename=f"{evaluation_id}.jsonl",
            pieces=_blocks(requests),
        )
        created = self._created(params, batch_id, stored, evaluation_id)
        return [stored, created, await self._requested(caller, params, created, evaluation_id, len(chosen.items))]

    def _new_batch_id(self) -> BatchId:
        return new_batch_id(self._dependencies.now(), self._dependencies.entropy(10))

    def _created(
        self, params: EvaluationParams, batch_id: BatchId, stored: e.FileStored, evaluation_id: EvaluationId
    ) -> e.BatchCreated:
        now = self._dependencies.now()
        return e.BatchCreated(
            at=now,
            batch_id=batch_id,
            owner=stored.owner,
            input_file_id=stored.file_id,
            endpoint=JUDGE_ENDPOINT,
            completion_window=params.completion_window,
            expires_at=now + timedelta(seconds=completion_window.seconds_of(params.completion_window)),
            metadata={METADATA_KEY: evaluation_id},
            priority=params.priority,
        )

    async def _requested(
        self,
        caller: Caller,
        params: EvaluationParams,
        created: e.BatchCreated,
        evaluation_id: EvaluationId,
        item_count: int,
    ) -> e.EvaluationRequested:
        digest = hashlib.sha256(params.rubric.encode()).hexdigest()
        versions = await versions_of_models(self._dependencies)
        return e.EvaluationRequested(
            at=created.at,
            owner=created.owner,
            evaluation_id=evaluation_id,
            kind=params.kind,
            batch_ids=params.chosen.batch_ids,
            judge_batch_id=created.batch_id,
            judge=judge_name(versions.get(params.model, params.model), digest),
            model=params.model,
            rubric=params.rubric,
            rubric_sha256=digest,
            item_count=item_count,
            by=caller.name,
        )


async def _blocks(lines: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the lines, joined to blocks of some hundred kilobytes, which are made in a thread."""
    while block := await asyncio.to_thread(lambda: b"".join(islice(lines, REQUESTS_AT_ONCE))):
        yield block
