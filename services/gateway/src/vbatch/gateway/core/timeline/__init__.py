"""The whole life of a batch according to its log: which runner had it when, what happened to it, and its state after
any event.

Pure: folds the events of a batch, those of the runners in its time, and its chunks, in the order of the log.
"""

from vbatch.gateway.core.timeline.fold import STEPS_MAX, Timeline
from vbatch.gateway.core.timeline.objects import TimelineObject
from vbatch.gateway.core.timeline.steps import RUNNER_EVENTS, Chunk, RunnerTold, Step

__all__ = ["RUNNER_EVENTS", "STEPS_MAX", "Chunk", "RunnerTold", "Step", "Timeline", "TimelineObject"]
