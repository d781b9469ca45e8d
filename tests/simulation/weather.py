"""How bad the conditions are under one seed: which faults occur, how often, and how long everything takes.

Every seed draws its own mix (swarm testing): some have only one kind of fault, some all of them, some none.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

CALM = 0.0


def _rate(random: Random, worst: float) -> float:
    return random.choice((CALM, worst / 4, worst))


@dataclass
class Weather:
    """Rates are per call. After `clear_up` nothing fails any more, so all work must come to its end."""

    random: Random
    is_calm: bool = False

    def __post_init__(self) -> None:
        draw = self.random
        self.lost_request = _rate(draw, 0.1)
        self.lost_answer = _rate(draw, 0.1)
        self.full_log = _rate(draw, 0.01)
        self.broken_tail = _rate(draw, 0.01)
        self.repeated_order = _rate(draw, 0.5)
        self.lost_ack = _rate(draw, 0.2)
        self.blob_trouble = _rate(draw, 0.1)
        self.database_trouble = _rate(draw, 0.1)
        self.disk_trouble = _rate(draw, 0.1)
        self.planning_trouble = _rate(draw, 0.3)
        self.load_failure = _rate(draw, 0.2)
        self.engine_crash = _rate(draw, 0.02)
        self.engine_silence = _rate(draw, 0.01)
        self.odd_answer = _rate(draw, 0.3)
        self.large_answer = _rate(draw, 0.3)
        self.freeze_at_cancel = _rate(draw, 0.8)
        self.torn_archive = _rate(draw, 0.5)
        self.archives_are_away = draw.random() < 0.1
        self.violence = draw.choice((0.0, 1.0, 1.0, 2.0, 4.0))
        self.seconds = draw.choice((0.0005, 0.003, 0.02))
        self.answer_seconds = draw.choice((0.02, 0.1, 0.6))

    def clear_up(self) -> None:
        self.is_calm = True

    def strikes(self, rate: float) -> bool:
        return not self.is_calm and rate > 0 and self.random.random() < rate

    async def wait(self) -> None:
        """Wait for one trip over the network or one disk access; occasionally a slow one."""
        slow = 20 if self.strikes(0.02) else 1
        await asyncio.sleep(self.random.random() * self.seconds * slow)
