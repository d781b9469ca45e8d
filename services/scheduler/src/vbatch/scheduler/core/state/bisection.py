"""Which lines of a batch are sent together. A line that was inside when an engine died is a suspect: suspects run apart
from the rest, in ever smaller slices and finally alone, so that one bad request fails alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from vbatch.contracts import events as e
from vbatch.contracts.failures import REQUEST_FAULT_MESSAGES, RequestFault
from vbatch.contracts.ids import ModelId
from vbatch.scheduler.core.state.pending_batch import FIRST, PendingBatch, Waiting

SUSPECT_SLICE_SIZES = {1: 32, 2: 4}
"""Deaths so far → how many suspects run together; from three deaths on a line runs alone."""
DEATHS_MAX = 6
"""After this many engine deaths, in three of which it ran alone, the line is the culprit."""


@dataclass(frozen=True, slots=True)
class Picked:
    """The lines of the next slice: either suspects, or lines that no engine died with."""

    lines: tuple[int, ...]
    waiting: Waiting
    """The longest history of any of these lines."""

    @property
    def is_suspect(self) -> bool:
        return self.waiting.deaths > 0

    @property
    def reason(self) -> str:
        """Why these lines run apart; empty for an ordinary slice."""
        if not self.is_suspect:
            return ""
        return f"{len(self.lines)} suspects run apart: the engine died {self.waiting.deaths} times with them inside"

    @property
    def fault(self) -> e.RequestError | None:
        """The error of a proven culprit, which fails without running; otherwise None."""
        if self.waiting.deaths < DEATHS_MAX:
            return None
        fault = RequestFault.ENGINE_CRASHED
        return e.RequestError(code=fault, message=REQUEST_FAULT_MESSAGES[fault])


def pick(batch: PendingBatch, limit: int, model: ModelId) -> Picked | None:
    """Lines for this model: returned ones first, then new ones; suspects when nothing else waits."""
    waiting_again = batch.returned_for(model)
    returned = [line for line, waiting in waiting_again.items() if not waiting.deaths][:limit]
    lines = (*returned, *batch.next_lines(limit - len(returned), model))
    if lines:
        attempt = max(batch.returned.get(line, FIRST).attempt for line in lines)
        return Picked(lines, Waiting(attempt=attempt, deaths=0))
    return _suspects(waiting_again)


def _suspects(returned: Mapping[int, Waiting]) -> Picked | None:
    if not returned:
        return None
    deaths = min(waiting.deaths for waiting in returned.values())
    alike = (line for line, waiting in returned.items() if waiting.deaths == deaths)
    lines = tuple(islice(alike, SUSPECT_SLICE_SIZES.get(deaths, 1)))
    attempt = max(returned[line].attempt for line in lines)
    return Picked(lines, Waiting(attempt=attempt, deaths=deaths))
