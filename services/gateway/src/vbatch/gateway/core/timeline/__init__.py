"""The whole life of a batch as its log tells it: who had it when, what happened to it, and how it stood at any event.

Pure: folds the events of a batch, those of the runners in its time, and its chunks, in the order of the log.
"""

from vbatch.gateway.core.timeline.fold import STEPS_MAX, Timeline
from vbatch.gateway.core.timeline.objects import TimelineObject
from vbatch.gateway.core.timeline.steps import RUNNER_EVENTS, Chunk, RunnerTold, Step

__all__ = ["RUNNER_EVENTS", "STEPS_MAX", "Chunk", "RunnerTold", "Step", "Timeline", "TimelineObject"]
