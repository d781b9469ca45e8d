from vbatch.results.core.lag import LOOKS_MAX, Lag


def test_a_projection_at_the_head_is_not_behind():
    lag = Lag()
    assert [lag.seconds(now, head=7, sequence=7) for now in (0.0, 10.0, 20.0)] == [0.0, 0.0, 0.0]


def test_the_lag_is_the_age_of_the_oldest_look_it_has_not_reached():
    lag = Lag()
    assert lag.seconds(0.0, head=10, sequence=5) == 0.0
    assert lag.seconds(15.0, head=20, sequence=5) == 15.0
    assert lag.seconds(30.0, head=30, sequence=12) == 15.0
    assert lag.seconds(45.0, head=30, sequence=30) == 0.0


def test_a_projection_that_keeps_up_under_steady_work_stays_young():
    lag = Lag()
    seconds = [lag.seconds(now, head=100 * now, sequence=100 * now - 90) for now in range(1, 50)]
    assert max(seconds) <= 1.0


def test_a_long_standstill_takes_a_bounded_number_of_looks_and_keeps_its_beginning():
    lag = Lag()
    for now in range(LOOKS_MAX + 500):
        seconds = lag.seconds(float(now), head=now + 1, sequence=0)
    assert seconds == LOOKS_MAX + 499
