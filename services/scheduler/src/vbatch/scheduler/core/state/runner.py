"""A live runner process as the scheduler sees it: its model, and what it was told to load for clients."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from vbatch.contracts import events as e
from vbatch.contracts.ids import ModelId, RunnerId

EngineMove = e.ModelDemanded | e.ModelLoaded | e.ModelFailed | e.EngineCrashed


@dataclass(slots=True)
class Demand:
    """A model that a runner was told to load for clients; `sequence` is that of the event. It is settled once the model
    has loaded or has failed to load."""

    model: ModelId
    sequence: int
    at: datetime
    stay_seconds: float
    is_settled: bool = False


@dataclass(slots=True)
class Runner:
    """A live runner process. `model` is the model of the last work sent to it, `resident_since` the time of the first
    work for that model."""

    runner_id: RunnerId
    epoch: int
    model: ModelId | None = None
    resident_since: datetime | None = None
    concurrency: int = 0
    is_down: bool = False
    """Its engine died, and no other has started since."""
    demand: Demand | None = None
    """The last model that it was told to load for clients."""

    def move(self, event: EngineMove, sequence: int) -> None:
        match event:
            case e.ModelDemanded():
                if event.epoch == self.epoch:  # otherwise it was decided before this process of the runner started
                    self.demand = Demand(event.model, sequence, event.at, event.stay_seconds)
                    self.turn_to(event.model, event.at)
            case e.ModelLoaded():
                self.concurrency, self.is_down = event.window, False
                self._notice_return(event)
                self._settle(event.model)
                if self.model == event.model:
                    self.resident_since = event.at
            case e.ModelFailed():
                self._settle(event.model)
                if self.model == event.model:
                    self.model = None  # its next load is not free
            case e.EngineCrashed():
                self.is_down = True
            case _:
                assert_never(event)

    def follow_drain(self, event: e.AnyDrainEvent) -> None:
        """A drained runner drops a load that it has not finished, and may then unload its models."""
        match event:
            case e.RunnerDrainRequested() if self.demand is not None and not self.demand.is_settled:
                self._lose_model()
            case e.RunnerDrained() if event.epoch == self.epoch and event.goal is not e.DrainGoal.KEEP:
                self._lose_model()
            case _:
                pass

    def _lose_model(self) -> None:
        self.demand = self.model = self.resident_since = None

    def _notice_return(self, event: e.ModelLoaded) -> None:
        """A model that was loaded for clients has been replaced again, for slices that were sent before it."""
        demand = self.demand
        if demand is not None and demand.is_settled and self.model == demand.model:
            self.turn_to(event.model, event.at)

    def _settle(self, model: ModelId) -> None:
        if self.demand is not None and self.demand.model == model:
            self.demand.is_settled = True

    def turn_to(self, model: ModelId, at: datetime) -> None:
        if self.model != model:
            self.model, self.resident_since = model, at
