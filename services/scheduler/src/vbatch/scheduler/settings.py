"""The settings of the scheduler; the chassis provides what every service needs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from vbatch.chassis.settings import ServiceSettings
from vbatch.scheduler.core.decide import FLAW_SHARE_MAX
from vbatch.scheduler.core.demand import DemandRules
from vbatch.scheduler.flows.runner_watch import SILENCE_SECONDS_MAX

RULES = DemandRules()


class PolicyName(StrEnum):
    DEADLINE_AWARE = "deadline_aware"
    FIFO = "fifo"


FORMER_NAMES = {"dips": PolicyName.DEADLINE_AWARE, "plain": PolicyName.FIFO}
"""Values of earlier versions, still accepted in this one."""


def _current_name(value: object) -> object:
    return FORMER_NAMES.get(value, value) if isinstance(value, str) else value


class SchedulerSettings(ServiceSettings):
    """`VBATCH_SCHEDULER_<FIELD>`, or the table [scheduler]."""

    section: ClassVar[str] = "scheduler"

    port: int = Field(default=4083, ge=0, le=65535, description="The port of health and metrics.")
    lines_max: int = Field(default=50_000, ge=1, description="Requests one batch may hold.")
    line_bytes_max: int = Field(default=16 << 20, ge=1024, description="Bytes one request line may have.")
    mixed_models: bool = Field(
        default=False, description="Whether the lines of one file may name several models; OpenAI refuses that."
    )
    flaw_share_max: float = Field(
        default=FLAW_SHARE_MAX,
        gt=0,
        le=1,
        description="The event batch.quality_dropped tells that this share of a batch's answers is empty, a refusal, "
        "repeating, or not the JSON that was asked for. `pause_on` of a batch overrides it.",
    )
    runner_silence_seconds_max: float = Field(
        default=SILENCE_SECONDS_MAX,
        gt=0,
        description="A runner that has not asked for orders for this long is lost, and others run what it held.",
    )
    interactive_swap_seconds_min: float = Field(
        default=RULES.swap_seconds_min,
        ge=0,
        description="Clients that wait for a model interrupt a runner's batches no more often than once in this time.",
    )
    interactive_stay_seconds: float = Field(
        default=RULES.stay_seconds,
        ge=0,
        le=3_600,
        description="A model that was loaded for clients stays at least this long.",
    )
    policy: Annotated[PolicyName, BeforeValidator(_current_name)] = Field(
        default=PolicyName.DEADLINE_AWARE,
        description="Which batch runs next: "
        "deadline_aware keeps deadlines and saves swaps, fifo takes the oldest batch.",
    )

    standby: bool = Field(
        default=False,
        description="Read the log and wait; take the lease once the scheduler that has it is silent for 2 s.",
    )

    @property
    def demand_rules(self) -> DemandRules:
        return DemandRules(self.interactive_swap_seconds_min, self.interactive_stay_seconds)
