"""Which replica gets which request, and what happens when one is lost, refuses or leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from vbatch.gpu_runner.core.fleet.breaker import LOSSES_MAX, PAUSE_MAX, PAUSE_MIN, Breaker, BreakerState
from vbatch.gpu_runner.core.fleet.fleet import LOSS_PAUSE, SHARE_MAX, Assignment, Fleet
from vbatch.gpu_runner.core.fleet.moves import FAILURES_MAX, REFUSALS_MAX, Move, Moves
from vbatch.gpu_runner.core.fleet.rendezvous import ranked

NAMES = ["a:1", "b:1", "c:1", "d:1"]
NOW = 100.0


def fleet_of(names: Iterable[str], size: int = 8) -> Fleet:
    fleet = Fleet(size)
    fleet.follow(list(names), NOW)
    for replica in fleet.replicas.values():
        replica.breaker.probed(NOW, is_healthy=True)
    return fleet


def assigned(fleet: Fleet, now: float = NOW) -> list[Assignment]:
    return list(fleet.assign(now))


def test_requests_go_to_the_replica_with_the_most_room():
    fleet = fleet_of(NAMES)
    for _ in range(12):
        fleet.wait(0, NOW)
    assert Counter(each.replica.name for each in assigned(fleet)) == dict.fromkeys(NAMES, 3)


def test_no_replica_gets_more_than_its_concurrency_and_the_rest_wait():
    fleet = fleet_of(NAMES[:2])
    for _ in range(20):
        fleet.wait(0, NOW)
    given = assigned(fleet)
    assert len(given) == 16 and fleet.waiting_count == 4
    fleet.release(given[0].replica)
    assert [each.replica for each in assigned(fleet)] == [given[0].replica]


def test_the_requests_of_a_group_run_on_one_replica_each():
    fleet, homes = fleet_of(NAMES, size=16), dict[int, set[str]]()
    for group in range(1, 101):
        for _ in range(4):
            fleet.wait(group, NOW)
        for each in assigned(fleet):
            homes.setdefault(each.waiting.group, set()).add(each.replica.name)
            fleet.release(each.replica)
    assert all(len(names) == 1 for names in homes.values())
    shares = Counter(next(iter(names)) for names in homes.values())
    assert set(shares) == set(NAMES) and max(shares.values()) < 2 * 100 / len(NAMES)


def test_one_large_group_uses_the_whole_fleet():
    fleet = fleet_of(NAMES)
    for _ in range(fleet.places):
        fleet.wait(7, NOW)
    assert Counter(each.replica.name for each in assigned(fleet)) == dict.fromkeys(NAMES, 8)


def test_a_home_gets_no_more_than_its_share_of_what_waits():
    fleet = fleet_of(NAMES)
    for group in [7] * 40 + [8] * 40:
        fleet.wait(group, NOW)
    given = assigned(fleet)
    for each in given:
        fleet.release(each.replica)
    given += assigned(fleet)
    shares = Counter(each.replica.name for each in given)
    assert max(shares.values()) <= SHARE_MAX * len(given) / len(NAMES) + 1


def test_a_replica_that_leaves_moves_only_its_own_groups():
    with_all = {group: ranked(group, NAMES)[0] for group in range(1, 500)}
    without = {group: ranked(group, NAMES[1:])[0] for group in range(1, 500)}
    assert all(without[group] == home for group, home in with_all.items() if home != NAMES[0])


def test_who_waits_for_a_lost_replica_goes_to_another_at_once():
    fleet = fleet_of(NAMES[:2], size=1)
    home = ranked(7, NAMES[:2])[0]
    for _ in range(2):
        fleet.wait(7, NOW)
    given = assigned(fleet)
    fleet.wait(7, NOW)
    fleet.lost(fleet.replicas[home], NOW, is_gone=True)
    other = next(each for each in given if each.replica.name != home)
    fleet.release(other.replica)
    assert [each.replica.name for each in assigned(fleet)] == [other.replica.name]


def test_a_replica_that_lost_a_request_may_be_dying_and_gets_nothing_for_a_moment():
    fleet = fleet_of(NAMES[:2], size=1)
    first, second = fleet.replicas.values()
    fleet.lost(first, NOW)
    for _ in range(2):
        fleet.wait(0, NOW)
    assert [each.replica for each in assigned(fleet)] == [second]
    assert [each.replica for each in assigned(fleet, NOW + LOSS_PAUSE)] == [first]


def test_the_only_replica_is_asked_again_at_once():
    fleet = fleet_of(NAMES[:1])
    (only,) = fleet.replicas.values()
    fleet.lost(only, NOW)
    fleet.wait(0, NOW)
    assert [each.replica for each in assigned(fleet)] == [only]


def test_a_replica_that_asks_for_a_pause_gets_nothing_until_it_is_over():
    fleet = fleet_of(NAMES[:1])
    fleet.wait(0, NOW)
    (given,) = assigned(fleet)
    fleet.refused(given.replica, NOW, NOW, retry_after=3.0)
    fleet.release(given.replica)
    fleet.wait_again(given.waiting, NOW)
    assert assigned(fleet, NOW + 2.9) == []
    assert [each.waiting for each in assigned(fleet, NOW + 3.0)] == [given.waiting]


def test_a_replica_that_refuses_although_it_is_empty_is_asked_less_and_less_often():
    fleet, now = fleet_of(NAMES[:1]), NOW
    waiting = fleet.wait(0, now)
    pauses = []
    for _ in range(8):
        (given,) = assigned(fleet, now)
        fleet.refused(given.replica, now, now)
        fleet.release(given.replica)
        fleet.wait_again(waiting, now)
        pauses.append(given.replica.resumes_at - now)
        now = given.replica.resumes_at
    assert pauses[0] == 0.25 and pauses == sorted(pauses) and pauses[-1] == 5.0


def test_a_replica_that_leaves_finishes_what_it_has_and_is_forgotten():
    fleet = fleet_of(NAMES[:2], size=1)
    for _ in range(2):
        fleet.wait(0, NOW)
    given = assigned(fleet)
    fleet.follow(NAMES[:1], NOW)
    assert set(fleet.replicas) == set(NAMES[:2])
    for each in given:
        fleet.release(each.replica)
    assert set(fleet.replicas) == set(NAMES[:1])


def test_a_new_replica_gets_requests_once_it_has_answered_a_probe():
    fleet = Fleet(8)
    fleet.follow(NAMES[:1], NOW)
    fleet.wait(0, NOW)
    assert not fleet.is_answering() and assigned(fleet) == []
    fleet.replicas[NAMES[0]].breaker.probed(NOW, is_healthy=True)
    assert fleet.is_answering() and len(assigned(fleet)) == 1


def test_a_request_that_is_withdrawn_goes_nowhere():
    fleet = fleet_of(NAMES)
    fleet.withdraw(fleet.wait(7, NOW))
    assert fleet.waiting_count == 0 and assigned(fleet) == []


def test_a_client_is_served_at_once_by_the_emptiest_replica_even_if_all_are_full():
    fleet = fleet_of(NAMES[:2], size=1)
    for _ in range(2):
        fleet.wait(0, NOW)
    assigned(fleet)
    first = fleet.for_client()
    assert first is not None
    second = fleet.for_client([first.name])
    assert second is not None and second is not first
    assert fleet.for_client(NAMES) is None


def test_a_breaker_opens_after_losses_in_a_row_and_closes_after_an_answer():
    breaker = Breaker()
    breaker.probed(NOW, is_healthy=True)
    states = [breaker.state]
    for _ in range(LOSSES_MAX - 1):
        breaker.lost(NOW)
    breaker.answered()
    breaker.lost(NOW)
    states.append(breaker.state)
    for _ in range(LOSSES_MAX):
        breaker.lost(NOW)
    states.append(breaker.state)
    assert not breaker.is_probe_due(NOW) and breaker.is_probe_due(NOW + PAUSE_MIN)
    breaker.probed(NOW + PAUSE_MIN, is_healthy=True)
    states.append(breaker.state)
    breaker.answered()
    states.append(breaker.state)
    closed, opened, half = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
    assert states == [closed, closed, opened, half, closed]


def test_a_breaker_probes_less_and_less_often():
    breaker, now, pauses = Breaker(), NOW, []
    breaker.trip(now)
    breaker.probed(now, is_healthy=True)
    breaker.trip(now)
    for _ in range(8):
        began = now
        while not breaker.is_probe_due(now):
            now += 0.05
        pauses.append(now - began)
        breaker.probed(now, is_healthy=False)
    assert pauses == sorted(pauses) and PAUSE_MAX <= pauses[-1] < PAUSE_MAX + 0.1


def test_refusals_and_gateways_that_reach_nobody_are_tried_again_but_not_for_ever():
    moves = Moves()
    assert [moves.after(429, is_lost=False) for _ in range(REFUSALS_MAX + 1)] == [Move.AGAIN] * REFUSALS_MAX + [
        Move.FINAL
    ]
    pauses = []
    for _ in range(FAILURES_MAX):
        assert moves.after(502, is_lost=False) is Move.AGAIN
        pauses.append(moves.pause)
    assert pauses == sorted(pauses) and moves.after(502, is_lost=False) is Move.FINAL


def test_a_lost_request_goes_to_another_replica_at_once_and_to_the_same_one_after_pauses_but_not_for_ever():
    moves, alone = Moves(), Moves()
    assert [moves.lost(3, has_other=True) for _ in range(4)] == [Move.AGAIN] * 3 + [Move.FINAL]
    assert moves.pause == 0.0
    pauses = []
    for _ in range(3):
        assert alone.lost(3, has_other=False) is Move.AGAIN
        pauses.append(alone.pause)
    assert pauses == [0.25, 0.5, 0.75]


def test_a_replica_that_is_lost_or_leaves_is_no_other_for_a_request():
    fleet = fleet_of(NAMES[:3])
    first, second, third = fleet.replicas.values()
    assert fleet.has_other(first)
    fleet.lost(second, NOW, is_gone=True)
    assert fleet.has_other(first)
    fleet.wait(0, NOW)
    third.inside += 1  # it finishes what it has
    fleet.follow(NAMES[:2], NOW)
    assert not fleet.has_other(first) and fleet.has_other(third)


def test_an_answer_is_final_unless_its_replica_is_dead():
    assert Moves().after(200, is_lost=True) is Move.FINAL
    assert Moves().after(400, is_lost=False) is Move.FINAL
    assert Moves().after(500, is_lost=False) is Move.FINAL
    assert Moves().after(500, is_lost=True) is Move.AGAIN


class FleetMachine(RuleBasedStateMachine):
    """Whatever happens to the replicas, every request is at one place, and none waits beside a replica with room."""

    @initialize()
    def begin(self) -> None:
        self.fleet, self.now = fleet_of(NAMES[:2], size=3), NOW
        self.inside: list[Assignment] = []
        self.waiting: set[int] = set()

    @rule(group=st.integers(0, 5))
    def request(self, group: int) -> None:
        self.waiting.add(self.fleet.wait(group, self.now).number)

    @rule(names=st.sets(st.sampled_from(NAMES), min_size=1))
    def follow(self, names: set[str]) -> None:
        self.fleet.follow(sorted(names), self.now)

    @rule(number=st.integers(0, 3), is_gone=st.booleans())
    def lose(self, number: int, is_gone: bool) -> None:
        replica = self.fleet.replicas.get(NAMES[number])
        if replica is not None:
            self.fleet.lost(replica, self.now, is_gone=is_gone)

    @rule()
    def probe(self) -> None:
        for replica in self.fleet.replicas.values():
            replica.breaker.probed(self.now, is_healthy=True)

    @rule(seconds=st.floats(0.01, 10))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(data=st.data(), ending=st.sampled_from(["answered", "refused", "paused", "again"]))
    def end(self, data: st.DataObject, ending: str) -> None:
        if not self.inside:
            return
        given = self.inside.pop(data.draw(st.integers(0, len(self.inside) - 1)))
        match ending:
            case "answered":
                self.fleet.answered(given.replica, self.now, self.now)
            case "refused" | "paused":
                self.fleet.refused(given.replica, self.now, self.now, 1.0 if ending == "paused" else None)
        self.fleet.release(given.replica)
        if ending != "answered":
            self.fleet.wait_again(given.waiting, self.now)
            self.waiting.add(given.waiting.number)

    @invariant()
    def nobody_is_lost_or_doubled(self) -> None:
        if not hasattr(self, "fleet"):
            return
        for each in self.fleet.assign(self.now):
            self.waiting.remove(each.waiting.number)
            self.inside.append(each)
        assert self.fleet.waiting_count == len(self.waiting)
        assert sum(replica.inside for replica in self.fleet.replicas.values()) == len(self.inside)
        assert not self.waiting or not any(each.has_room(self.now) for each in self.fleet.replicas.values())


TestFleetMachine = FleetMachine.TestCase
TestFleetMachine.settings = settings(max_examples=100, stateful_step_count=40)
