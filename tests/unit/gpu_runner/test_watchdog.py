from __future__ import annotations

from vbatch.gpu_runner.core.watchdog import Watchdog


def watchdog() -> Watchdog:
    return Watchdog.begin(0.0, silence_seconds_max=120, stall_seconds_max=900)


def test_an_engine_without_answer_and_health_falls_silent():
    watch = watchdog()
    watch.saw_health(10.0)
    assert watch.verdict(129.0) is None
    assert "silent" in (watch.verdict(130.0) or "")


def test_an_answer_is_a_sign_of_life():
    watch = watchdog()
    watch.saw_answer(100.0)
    assert watch.verdict(219.0) is None


def test_a_healthy_engine_that_makes_no_token_is_stuck():
    watch = watchdog()
    for now in range(10, 911, 10):
        watch.saw_health(now)
        watch.saw_progress("tokens 5", now)
    assert watch.verdict(905.0) is None
    assert "stuck" in (watch.verdict(910.0) or "")


def test_tokens_are_a_sign_of_life():
    watch = watchdog()
    for now in range(10, 2000, 10):
        watch.saw_health(now)
        watch.saw_progress(f"tokens {now}", now)
    assert watch.verdict(2000.0) is None


def test_an_engine_that_tells_no_progress_is_never_stuck():
    watch = watchdog()
    for now in range(10, 2000, 10):
        watch.saw_health(now)
        watch.saw_progress(None, now)
    assert watch.verdict(2000.0) is None
