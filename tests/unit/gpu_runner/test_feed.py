from __future__ import annotations

from itertools import groupby

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vbatch.contracts.ids import BatchId, ModelId, SliceId
from vbatch.contracts.orders import LoadModel, RequestRef, RunSlice
from vbatch.gpu_runner.core.feed import REQUESTS_READ_AHEAD, SLICES_READ_AHEAD, Feed, Remainder, Request

SMALL, LARGE = ModelId("small"), ModelId("large")


def order(name: str, model: ModelId = SMALL, *, batch: str = "b1", lines: int = 2) -> RunSlice:
    requests = tuple(RequestRef(line, 0, 1) for line in range(1, lines + 1))
    return RunSlice(
        epoch=1,
        batch_id=BatchId(batch),
        slice_id=SliceId(name),
        model=model,
        endpoint="/v1/completions",
        blob="files/in",
        attempt=1,
        requests=requests,
    )


def requests_of(order: RunSlice) -> list[Request]:
    return [
        Request(order.slice_id, ref.line, f"c{ref.line}", order.endpoint, b"{}", ref.group) for ref in order.requests
    ]


def feed_of(*orders: RunSlice) -> Feed:
    """A feed with these slices open and read."""
    feed = Feed()
    for order in orders:
        feed.open(order, 0.0)
        feed.put(order.slice_id, requests_of(order))
    return feed


def taken(feed: Feed) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    while request := feed.take():
        found.append((request.slice_id, request.line))
    return found


def test_slices_of_one_model_are_fed_one_after_the_other():
    assert taken(feed_of(order("s1"), order("s2"))) == [("s1", 1), ("s1", 2), ("s2", 1), ("s2", 2)]


def grouped(name: str, *groups: int) -> RunSlice:
    """A slice whose requests, by line, are in these groups."""
    requests = tuple(RequestRef(line, 0, 1, group) for line, group in enumerate(groups, 1))
    return msgspec.structs.replace(order(name), requests=requests)


def test_requests_that_begin_alike_go_one_after_the_other_across_slices():
    feed = feed_of(grouped("s1", 5, 5, 6, 0), grouped("s2", 0, 6, 5, 7))
    assert taken(feed) == [
        *(("s1", 1), ("s1", 2), ("s2", 3)),  # group 5
        *(("s1", 3), ("s2", 2)),  # group 6
        *(("s1", 4), ("s2", 1), ("s2", 4)),
    ]


@given(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=8), max_size=4))
def test_groups_are_whole_and_nothing_is_lost_or_turned_round(slices: list[list[int]]):
    orders = [grouped(f"s{number}", *groups) for number, groups in enumerate(slices)]
    fed = taken(feed_of(*orders))
    group_of = {(str(order.slice_id), ref.line): ref.group for order in orders for ref in order.requests}
    assert sorted(fed) == sorted(group_of)
    runs = [group for group, _ in groupby(map(group_of.__getitem__, fed)) if group]
    assert len(runs) == len(set(runs))
    for name in {slice_id for slice_id, _ in fed}:
        for group in range(5):
            lines = [line for slice_id, line in fed if slice_id == name and group_of[slice_id, line] == group]
            assert lines == sorted(lines)


def test_a_slice_for_another_model_is_a_border():
    feed = feed_of(order("s1"), order("s2", LARGE), order("s3"))
    assert taken(feed) == [("s1", 1), ("s1", 2)]


def test_another_model_is_wanted_once_the_first_is_done_not_before():
    feed = feed_of(order("s1", lines=1), order("s2", LARGE))
    request = feed.take()
    assert request is not None and feed.model_wanted == SMALL
    feed.finish(request)
    assert feed.model_wanted == LARGE


def test_an_unread_slice_holds_up_those_behind_it():
    feed = feed_of(order("s1"))
    feed.open(order("s2"), 0.0)
    feed.open(order("s3"), 0.0)
    feed.put(SliceId("s3"), requests_of(order("s3")))
    assert taken(feed) == [("s1", 1), ("s1", 2)]


@pytest.mark.parametrize(
    ("lines", "read"), [(REQUESTS_READ_AHEAD, SLICES_READ_AHEAD), (64, REQUESTS_READ_AHEAD // 64), (1, 20)]
)
def test_only_the_nearest_slices_are_read_ahead_and_more_of_them_when_they_are_short(lines: int, read: int):
    feed = Feed()
    for number in range(20):
        feed.open(order(f"s{number}", lines=lines), 0.0)
    for number in range(read):
        unread = feed.next_unread()
        assert unread is not None and unread.slice_id == f"s{number}"
        feed.put(unread.slice_id, requests_of(unread))
    assert feed.next_unread() is None


def test_a_slice_read_after_it_was_closed_stays_closed():
    feed = Feed()
    feed.open(order("s1"), 0.0)
    feed.close(SliceId("s1"))
    feed.put(SliceId("s1"), requests_of(order("s1")))
    assert feed.take() is None and feed.model_wanted is None


def test_closing_tells_what_is_left_and_what_was_inside():
    feed = feed_of(order("s1", lines=3))
    first, _ = feed.take(), feed.take()
    assert first is not None
    feed.finish(first)
    assert feed.close(SliceId("s1")) == Remainder(order("s1", lines=3), lines=(2, 3), suspects=(2,))


def test_what_finishes_after_its_slice_was_closed_does_not_count():
    feed = feed_of(order("s1"))
    request = feed.take()
    assert request is not None
    feed.close_all()
    assert not feed.finish(request)


def test_a_recall_closes_the_slices_of_its_batch_only():
    feed = feed_of(order("s1"), order("s2", batch="b2"), order("s3"))
    assert [remainder.order for remainder in feed.close_batch(BatchId("b1"))] == [order("s1"), order("s3")]
    assert feed.slice_count == 1


def test_a_hold_keeps_what_is_inside_and_gives_up_the_rest_of_its_batch():
    feed = feed_of(order("s1", lines=3), order("s2"), order("s3", batch="b2"))
    inside = feed.take()
    assert inside is not None
    held = feed.pause_batch(BatchId("b1"))
    assert [(slice_.order.slice_id, slice_.lines, slice_.suspects) for slice_ in held] == [
        ("s1", (2, 3), ()),
        ("s2", (1, 2), ()),
    ]
    assert taken(feed) == [("s3", 1), ("s3", 2)]
    assert feed.finish(inside) and not feed.has(SliceId("s1"))


def test_a_slice_that_is_all_inside_is_not_held():
    feed = feed_of(order("s1"))
    taken(feed)
    assert feed.pause_batch(BatchId("b1")) == [] and feed.inside_count == 2


class FeedLife(RuleBasedStateMachine):
    """Whatever comes in whatever order: each line ends finished or returned, once."""

    def __init__(self) -> None:
        super().__init__()
        self.feed = Feed()
        self.opened = 0
        self.inside: list[Request] = []
        self.open_lines: set[tuple[str, int]] = set()
        self.ended: list[tuple[str, int]] = []

    @rule(model=st.sampled_from([SMALL, LARGE]), batch=st.sampled_from(["b1", "b2"]), lines=st.integers(1, 5))
    def open(self, model: ModelId, batch: str, lines: int) -> None:
        self.opened += 1
        it = order(f"s{self.opened}", model, batch=batch, lines=lines)
        self.feed.open(it, 0.0)
        self.open_lines |= {(it.slice_id, line) for line in range(1, lines + 1)}

    @rule()
    def read(self) -> None:
        if it := self.feed.next_unread():
            self.feed.put(it.slice_id, requests_of(it))

    @rule()
    def take(self) -> None:
        model = self.feed.model_wanted
        if request := self.feed.take():
            assert self.feed.model_wanted == model
            assert (request.slice_id, request.line) in self.open_lines
            assert request not in self.inside
            self.inside.append(request)

    @precondition(lambda self: self.inside)
    @rule(choice=st.randoms(use_true_random=False))
    def finish(self, choice) -> None:
        request = self.inside.pop(choice.randrange(len(self.inside)))
        if self.feed.finish(request):
            self.end([(request.slice_id, request.line)])

    @rule(batch=st.sampled_from(["b1", "b2"]))
    def recall(self, batch: str) -> None:
        self.give_back(self.feed.close_batch(BatchId(batch)))

    @rule(batch=st.sampled_from(["b1", "b2"]))
    def hold(self, batch: str) -> None:
        self.give_back(self.feed.pause_batch(BatchId(batch)))

    @rule(model=st.sampled_from([SMALL, LARGE]))
    def die(self, model: ModelId) -> None:
        self.give_back(self.feed.close_model(model))

    def give_back(self, remainders: list[Remainder]) -> None:
        for remainder in remainders:
            assert set(remainder.suspects) <= set(remainder.lines)
            assert isinstance(remainder.order, RunSlice)
            self.end([(remainder.order.slice_id, line) for line in remainder.lines])

    def end(self, lines: list[tuple[str, int]]) -> None:
        self.ended += lines
        self.open_lines -= set(lines)

    @invariant()
    def no_line_is_lost_or_doubled(self) -> None:
        assert len(self.ended) == len(set(self.ended))
        assert self.feed.waiting_count + self.feed.inside_count == len(self.open_lines)


TestFeedLife = FeedLife.TestCase
TestFeedLife.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


def load_of(model: ModelId, demand: int = 1) -> LoadModel:
    return LoadModel(epoch=1, model=model, demand=demand, stay_seconds=30.0)


def test_a_model_for_clients_comes_after_slices_that_have_begun_and_before_all_others():
    feed = feed_of(order("s1"), order("s2"))
    begun = feed.take()
    feed.open_load(load_of(LARGE), 1.0)
    assert (feed.model_wanted, feed.model_next, feed.load_due) == (SMALL, LARGE, None)
    assert taken(feed) == [("s1", 2)]
    assert begun is not None and feed.finish(begun)
    feed.finish(requests_of(order("s1"))[1])
    assert feed.model_wanted == LARGE
    assert taken(feed) == []
    load = feed.load_due
    assert load is not None and load.model == LARGE
    feed.end_load(load)
    assert (feed.model_wanted, taken(feed)) == (SMALL, [("s2", 1), ("s2", 2)])


def test_slices_of_the_model_for_clients_run_beside_them():
    feed = feed_of(order("s1", LARGE), order("s2"))
    feed.open_load(load_of(LARGE), 1.0)
    assert taken(feed) == [("s1", 1), ("s1", 2)]


def test_a_newer_order_to_load_replaces_the_older_one():
    feed = feed_of()
    feed.open_load(load_of(LARGE), 1.0)
    older = feed.load_due
    feed.open_load(load_of(SMALL, 2), 2.0)
    assert older is not None
    feed.end_load(older)
    assert feed.model_wanted == SMALL


def test_a_model_that_did_not_load_is_not_wanted_for_clients_any_more():
    feed = feed_of()
    feed.open_load(load_of(LARGE), 1.0)
    feed.close_model(LARGE)
    assert feed.model_wanted is None
