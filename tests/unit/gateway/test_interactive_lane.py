"""The way of an interactive request: to the idlest runner that has its model, or into the wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import pytest

from tests.support.events import NOON
from vbatch.contracts.codec import encode
from vbatch.contracts.events import ModelRegistered, ModelRemoved
from vbatch.contracts.ids import ModelId, RunnerId
from vbatch.contracts.lane import DemandAnswer, LaneResult, LaneState
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gateway.core.interactive import InteractiveRequest
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.flows.interactive import Interactive, content_of, loaded_words
from vbatch.gateway.flows.model_feed import ModelFeed
from vbatch.gateway.ports import LaneAnswer, LaneBroken, LaneRefused, LaneUnreachable
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.settings import JournalSettings

SMALL, LARGE = ModelId("small"), ModelId("large")
NEXT = DemandAnswer(message="It is loaded next.", retry_after_seconds=7.0)
ASK = InteractiveRequest("/v1/chat/completions", SMALL, b"{}", is_streamed=False)


@dataclass
class Whole:
    """An answer of one piece, or one that breaks."""

    url: str
    breaks: bool = False
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    is_stream: bool = False

    async def pieces(self) -> AsyncIterator[bytes]:
        yield self.url.encode()
        if self.breaks:
            raise LaneBroken("gone")

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Runners:
    """Runners in memory: what each serves, how busy it is, and what it does instead of answering."""

    ready: dict[str, tuple[ModelId, ...]]
    busy: dict[str, int] = field(default_factory=dict)
    faults: dict[str, Exception] = field(default_factory=dict)
    refreshes: int = 0
    coming: tuple[str, ModelId] | None = None
    """What a runner has loaded by the third refresh."""

    def states(self) -> Mapping[str, LaneState]:
        return {url: LaneState(runner_id=RunnerId(url), epoch=1, ready=models) for url, models in self.ready.items()}

    def inside(self, url: str) -> int:
        return self.busy.get(url, 0)

    async def refresh(self) -> None:
        self.refreshes += 1
        if self.coming is not None and self.refreshes >= 3:
            url, model = self.coming
            self.ready[url] = (model,)

    async def open(self, url: str, ask: InteractiveRequest, request_id: str) -> LaneAnswer:
        if url in self.faults:
            raise self.faults[url]
        return Whole(url)

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Scheduler:
    answer: DemandAnswer = NEXT
    asked: list[ModelId] = field(default_factory=list)

    async def ask(self, model: ModelId) -> DemandAnswer:
        self.asked.append(model)
        return self.answer


def lane(runners: Runners, scheduler: Scheduler | None = None, *, wait_seconds: float = 5.0) -> Interactive:
    return Interactive(runners, scheduler or Scheduler(), {}, wait_seconds)


async def answered_by(runners: Runners) -> str:
    answer = await lane(runners).open(ASK, "req_1")
    return (await content_of(answer)).decode()


async def refused(interactive: Interactive) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        await interactive.open(ASK, "req_1")
    return refusal.value


async def test_the_idlest_runner_that_has_the_model_answers():
    runners = Runners({"a": (SMALL,), "b": (SMALL,), "c": (LARGE,)}, busy={"a": 3, "b": 1})
    assert await answered_by(runners) == "b"


@pytest.mark.parametrize(
    "fault", [LaneUnreachable("no"), LaneRefused(LaneResult.NOT_LOADED, ""), LaneRefused(LaneResult.FULL, "")]
)
async def test_another_runner_is_asked_where_one_did_not_take_the_request(fault: Exception):
    runners = Runners({"a": (SMALL,), "b": (SMALL,)}, faults={"a": fault})
    assert await answered_by(runners) == "b"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (LaneBroken("cut"), Reason.ENGINE_LOST),
        (LaneRefused(LaneResult.ENGINE_LOST, ""), Reason.ENGINE_LOST),
        (LaneRefused(LaneResult.TIMED_OUT, ""), Reason.ENGINE_TIMED_OUT),
        (LaneRefused(LaneResult.TOO_LARGE, "It is too large."), Reason.ENGINE_LOST),
    ],
)
async def test_a_request_that_an_engine_may_have_seen_is_sent_to_no_other(fault: Exception, reason: Reason):
    runners = Runners({"a": (SMALL,), "b": (SMALL,)}, busy={"b": 1}, faults={"a": fault})
    assert (await refused(lane(runners))).reason is reason


async def test_where_all_runners_are_full_the_client_is_told_at_once():
    runners = Runners({"a": (SMALL,)}, faults={"a": LaneRefused(LaneResult.FULL, "")})
    assert (await refused(lane(runners))).reason is Reason.LANE_FULL


async def test_a_model_that_is_not_loaded_is_asked_for_and_waited_for():
    runners, scheduler = Runners({"a": (LARGE,)}, coming=("a", SMALL)), Scheduler()
    answer = await lane(runners, scheduler).open(ASK, "req_1")
    assert answer.status == 200
    assert set(scheduler.asked) == {"small"}


async def test_who_waited_long_enough_is_told_what_is_loaded_and_when_to_ask_again():
    refusal = await refused(lane(Runners({"a": (LARGE,)}), wait_seconds=0.3))
    assert (refusal.reason, refusal.headers) == (Reason.MODEL_NOT_LOADED, {"retry-after": "7"})
    assert refusal.message == "The model 'small' is not loaded. It is loaded next. Loaded now: large."


@pytest.mark.parametrize(
    "answer",
    [
        DemandAnswer(message="It did not load.", retry_after_seconds=10.0, is_hopeless=True),
        DemandAnswer(message="Later.", retry_after_seconds=99.0, earliest_seconds=90.0),
    ],
)
async def test_nobody_waits_in_vain(answer: DemandAnswer):
    async with asyncio.timeout(2):
        refusal = await refused(lane(Runners({}), Scheduler(answer), wait_seconds=60.0))
    assert answer.message in refusal.message and "No runner answers." in refusal.message


async def test_those_that_wait_for_one_model_ask_the_scheduler_together():
    scheduler = Scheduler()
    interactive = lane(Runners({}), scheduler, wait_seconds=0.5)
    await asyncio.gather(*(refused(interactive) for _ in range(20)))
    assert len(scheduler.asked) < 20
    assert interactive.waiting_count == 0


async def test_an_answer_that_breaks_is_no_answer():
    with pytest.raises(Refusal) as refusal:
        await content_of(Whole("a", breaks=True))
    assert refusal.value.reason is Reason.ENGINE_LOST


def test_what_the_devices_do_is_said_in_a_sentence():
    state = LaneState(runner_id=RunnerId("gpu0"), epoch=1, ready=(SMALL,), wanted=LARGE)
    assert loaded_words({"a": state}) == "Loaded now: small. Next: large."
    assert loaded_words({"a": LaneState(runner_id=RunnerId("gpu0"), epoch=1)}) == "No model is loaded now."


async def test_the_models_of_the_log_are_known_before_anybody_is_answered():
    journal = MemoryJournal(JournalSettings("nats://x", "x"), lambda: NOON)
    for model in (SMALL, LARGE):
        definition = ModelDefinition(id=model, engine=EngineKind.SIMULATED)
        await journal.log.append(encode(ModelRegistered(model=definition, at=NOON), source="gateway"))
    await journal.log.append(encode(ModelRemoved(model_id=LARGE, at=NOON), source="gateway"))
    feed = ModelFeed(journal.log)
    following = asyncio.create_task(feed.run())
    async with asyncio.timeout(5):
        await feed.caught_up()
    assert set(feed.models) == {"small"}
    following.cancel()
