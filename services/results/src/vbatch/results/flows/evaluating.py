"""Records what models said as judges, as soon as their batches have ended.

Some judgements and the event that says how far the evaluation has come are one atomic append. So a process that is
killed at any moment leaves a whole number of items, and the next one continues after them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from vbatch.chassis.backoff import Backoff
from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.chassis.logs import get_logger
from vbatch.contracts.lifecycle import TERMINAL
from vbatch.journal.port import Rejected
from vbatch.journal.single_writer import SingleWriter
from vbatch.results.core.verdicts import Decided, DueEvaluation, decided, lines_of, recorded
from vbatch.results.flows.projecting import Committed
from vbatch.results.flows.retrying import FIRST_SECONDS, PASSING, WORK_SECONDS_MAX
from vbatch.results.ports import PartialFiles, ReadModel

ITEMS_AT_ONCE = 200
"""With reasons of maximum length, these take 1 MB in one append of at most 1,000 messages."""
EVALUATIONS_AT_ONCE = 20


class Evaluator:
    """`refused` are the evaluations that a retry will not help."""

    def __init__(
        self, writer: SingleWriter, *, read_model: ReadModel, partials: PartialFiles, now: Callable[[], datetime]
    ) -> None:
        self._writer = writer
        self._read_model = read_model
        self._partials = partials
        self._now = now
        self._changed = asyncio.Event()
        self.refused: dict[str, str] = {}

    def follow(self, committed: Committed) -> None:
        """Start a round if a batch has ended or an evaluation is new."""
        rows = committed.changes.batches.values()
        if committed.changes.curation.evaluations or any(row.status in TERMINAL for row in rows):
            self._changed.set()

    async def run(self) -> None:
        """Record until cancelled. Raises Fenced when a newer results process has the lease."""
        await self._writer.position.caught_up()
        backoff = Backoff(FIRST_SECONDS, WORK_SECONDS_MAX)
        while True:
            self._changed.clear()
            if await self._has_passed():
                backoff = Backoff(FIRST_SECONDS, WORK_SECONDS_MAX)
                await self._changed.wait()
            else:
                await asyncio.sleep(backoff.seconds())

    async def _has_passed(self) -> bool:
        """Run a round; return whether it finished. A passing error is a reason to try again. Raises Fenced."""
        try:
            await self.round()
        except PASSING as error:
            get_logger().warning("evaluating_interrupted", reason=f"{type(error).__name__}: {error}")
            return False
        return True

    async def round(self) -> None:
        """Record until nothing is due. Raises Fenced and passing errors."""
        while due := await self._due():
            for evaluation in due:
                await self._settle(evaluation)

    async def _due(self) -> list[DueEvaluation]:
        """What is due once everything in the log is folded: an append that failed may have been stored."""
        await self._writer.position.wait_for(await self._writer.journal.log.last_sequence())
        limit = EVALUATIONS_AT_ONCE + len(self.refused)
        found = await self._read_model.due_evaluations(self._now(), limit)
        return [due for due in found if due.id not in self.refused]

    async def _settle(self, due: DueEvaluation) -> None:
        """Record some items of the evaluation. An evaluation at which the service ended several times in a row is
        skipped."""
        place, quarantine = f"evaluation:{due.id}", self._writer.quarantine
        if quarantine.is_poison(place):
            self._refuse(due, quarantine.reason(place))
            quarantine.tell(place)
            return
        with quarantine.watch(place):
            try:
                await self._record(due, await self._decided(due))
            except Rejected as refusal:
                self._refuse(due, str(refusal))

    async def _decided(self, due: DueEvaluation) -> Decided:
        last_item = min(due.tally.done_count + ITEMS_AT_ONCE, due.item_count) - 1
        lines = {} if due.is_gone else await self._lines(due, last_item)
        return await asyncio.to_thread(decided, due, lines, last_item, self._now())

    async def _lines(self, due: DueEvaluation, last_item: int) -> dict[int, bytes]:
        first, last = lines_of(due.kind, due.tally.done_count, last_item)
        places = await self._read_model.outcomes_between(due.batch_sequence, first, last)
        if not places:
            return {}  # a batch that never ran has no file of answers
        answers = await asyncio.to_thread(self._partials.read, due.judge_batch_id, places)
        return {place.line: answer for place, answer in zip(places, answers, strict=True)}

    async def _record(self, due: DueEvaluation, found: Decided) -> None:
        reached(Failpoint.VERDICTS_READ)
        await self._writer.record(*found.judgements, recorded(due, found.tally, self._now()))
        reached(Failpoint.VERDICTS_RECORDED)
        get_logger().info(
            "verdicts_recorded",
            evaluation_id=due.id,
            done=found.tally.done_count,
            of=due.item_count,
            judgements=len(found.judgements),
        )

    def _refuse(self, due: DueEvaluation, reason: str) -> None:
        self.refused[due.id] = reason
        get_logger().error("evaluation_refused", evaluation_id=due.id, reason=reason)
