"""Batches about the same documents run together, from their plans to the engine; others keep out of the way."""

from __future__ import annotations

from array import array
from collections import Counter

import msgspec
import pytest

from tests.support.prefix_cache import BLOCK_BYTES, hit_share, question_major
from tests.support.scheduling import World, batch_id
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, ModelId
from vbatch.contracts.orders import RunSlice
from vbatch.gpu_runner.core.feed import Feed, Request
from vbatch.scheduler.core.decide import work_order_for
from vbatch.scheduler.core.planning.prefix_order import PromptPrefixes
from vbatch.scheduler.core.planning.request_line import Body
from vbatch.scheduler.core.policy.coscheduling import FOLLOWERS_PER_GROUP_MAX, followers
from vbatch.scheduler.core.state.state import State

WINDOW = 64


def world_of(*batches: tuple[str, list[int]], priorities: tuple[int, ...] = ()) -> World:
    """Running batches, named, each with the groups of its requests, all in file order."""
    world = World()
    world.model("small")
    for number, (name, groups) in enumerate(batches):
        priority = priorities[number] if priorities else 0
        batch = world.running(name, len(groups), priority=priority)
        world.plans[batch].arrange(range(len(groups)), array("I", groups))
    world.runner()
    return world


def sent(world: World) -> list[e.BatchDispatched]:
    return [event for event in world.settle() if isinstance(event, e.BatchDispatched)]


def test_what_begins_like_the_slice_before_runs_with_it_before_its_batch_goes_on():
    world = world_of(("a", list(range(1, 601))), ("b", [9_999, 300, 5]))
    first, second = sent(world)
    assert (first.batch_id, second.batch_id) == (batch_id("a"), batch_id("b"))
    assert set(first.lines) >= {5} and second.lines == (3,)
    assert "can reuse prompt prefixes of batch_a" in second.reason


def test_short_openings_are_no_reason_to_ride():
    assert {slice_.batch_id for slice_ in sent(world_of(("a", [0] * 600), ("b", [0] * 600)))} == {batch_id("a")}


def test_a_text_that_everything_begins_with_brings_only_some_along():
    world = world_of(("a", [7] * 600), ("b", [7] * 600))
    assert [len(slice_.lines) for slice_ in sent(world) if slice_.batch_id == batch_id("b")] == [
        FOLLOWERS_PER_GROUP_MAX
    ]


def test_a_batch_of_lower_priority_does_not_ride():
    world = world_of(("a", [7] * 600), ("b", [7] * 600), priorities=(10, 0))
    assert {slice_.batch_id for slice_ in sent(world)} == {batch_id("a")}


def test_lines_that_were_sent_do_not_ride_again():
    world = world_of(("a", [7] * 20))
    batch = world.state.batches[batch_id("a")]
    assert followers(batch, [7], 100, ModelId("small")) == tuple(range(1, FOLLOWERS_PER_GROUP_MAX + 1))
    sent(world)
    assert followers(batch, [7], 100, ModelId("small")) == ()


@pytest.mark.parametrize("cache_share", [0.2, 0.5])
def test_two_batches_about_the_same_documents_find_each_other_in_the_cache(cache_share: float):
    documents = 300
    texts = [text.encode() for text in question_major(documents, 4, document_bytes=2_000)]
    halves = {batch_id("a"): texts[: 2 * documents], batch_id("b"): texts[2 * documents :]}
    blocks = int(cache_share * sum(len(text) // BLOCK_BYTES for text in texts[:documents]))

    together = hit_share([halves[batch][line - 1] for batch, line in run(halves)], blocks)
    in_file_order = hit_share(texts, blocks)
    assert in_file_order < 0.05
    assert together > 0.70


def run(files: dict[BatchId, list[bytes]]) -> list[tuple[BatchId, int]]:
    """What the engine is fed, batch and line, when these files are planned, dispatched and fed."""
    world = World()
    world.model("small")
    for batch, texts in files.items():
        world.running(batch.removeprefix("batch_"), len(texts))
        openings = openings_of(texts)
        world.plans[batch].arrange(openings.order(), openings.groups)
    world.runner()
    fed = list(drained(world))
    assert Counter(fed) == Counter((batch, line) for batch, texts in files.items() for line in range(1, len(texts) + 1))
    return fed


def openings_of(texts: list[bytes]) -> PromptPrefixes:
    openings = PromptPrefixes()
    for text in texts:
        openings.add(body(text))
    return openings


def body(text: bytes) -> Body:
    return msgspec.json.decode(msgspec.json.encode({"model": "small", "prompt": text.decode()}), type=Body)


def drained(world: World):
    """The scheduler's decisions and the runner's feed, window after window."""
    feed = Feed()
    while True:
        for event in sent(world):
            take_order(world.state, event, feed)
        window = [request for _ in range(WINDOW) if (request := feed.take())]
        if not window:
            return
        for request in window:
            it = world.state.slices[request.slice_id]
            yield it.event.batch_id, request.line
            feed.finish(request)
            world.finish(request.slice_id, lines=(request.line,))


def take_order(state: State, event: e.BatchDispatched, feed: Feed) -> None:
    order = work_order_for(state, state.slices[event.slice_id])
    assert isinstance(order, RunSlice)
    feed.open(order, 0.0)
    feed.put(order.slice_id, [Request(order.slice_id, ref.line, "", "", b"", ref.group) for ref in order.requests])
