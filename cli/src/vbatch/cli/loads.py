"""How long loading each model usually takes on this server, according to its log."""

from __future__ import annotations

import statistics
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping

from vbatch.contracts.codec import Unreadable, decode
from vbatch.contracts.events import ModelLoaded
from vbatch.contracts.ids import ModelId
from vbatch.contracts.message import Recorded
from vbatch.contracts.subjects import MODELS_LOADED
from vbatch.journal.port import Log

LOADS_KEPT = 5
RECORDS_MAX = 10_000
"""A server that loaded more models has given enough data by then."""
RESIDENT_SECONDS_MAX = 1.0
"""Below this time no model was loaded: it had stayed on the device."""


async def usual_load_seconds(log: Log) -> Mapping[ModelId, float]:
    """Return the median of each model's last few loads. Raises Unavailable."""
    newest = await log.last(MODELS_LOADED)
    if newest is None:
        return {}
    times: defaultdict[ModelId, deque[float]] = defaultdict(lambda: deque(maxlen=LOADS_KEPT))
    seen = 0
    async with log.tail(0, (MODELS_LOADED,)) as arrivals:
        async for records in arrivals:
            for event in _loads(records):
                times[event.model].append(event.seconds)
            seen += len(records)
            if records[-1].sequence >= newest.sequence or seen >= RECORDS_MAX:
                break
    return {model: statistics.median(seconds) for model, seconds in times.items()}


def _loads(records: Iterable[Recorded]) -> Iterable[ModelLoaded]:
    for record in records:
        try:
            event = decode(record)
        except Unreadable:
            continue  # written by a newer version: cannot be interpreted
        if isinstance(event, ModelLoaded) and event.seconds > RESIDENT_SECONDS_MAX:
            yield event
