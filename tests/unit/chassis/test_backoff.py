"""The pauses between tries double, up to a bound, until one succeeds."""

from vbatch.chassis.backoff import Backoff


def test_the_pauses_double_up_to_the_longest():
    backoff = Backoff(0.5, 3.0)
    assert [backoff.seconds() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_after_a_success_the_pauses_begin_again():
    backoff = Backoff(0.5, 3.0)
    backoff.seconds(), backoff.seconds()
    backoff.reset()
    assert backoff.seconds() == 0.5
