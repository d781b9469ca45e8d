import asyncio

from vbatch.chassis.readiness import NotReady, Readiness, ReadinessReport


async def passes() -> str:
    return "3 connections"


async def hangs() -> None:
    await asyncio.Event().wait()


async def breaks() -> None:
    raise ConnectionRefusedError("nobody there")


async def declines() -> None:
    raise NotReady("replaying the log")


async def report_of(**checks: object) -> ReadinessReport:
    readiness = Readiness()
    for name, check in checks.items():
        assert callable(check)
        readiness.add(name, check, seconds_max=0.05)
    return await readiness.report()


async def test_ready_when_every_check_passed():
    report = await report_of(nats=passes, postgres=passes)
    assert (report.is_ready, report.http_status) == (True, 200)
    assert report.checks["nats"].detail == "3 connections"


async def test_one_failed_check_is_not_ready():
    report = await report_of(nats=passes, replay=declines)
    assert (report.is_ready, report.http_status) == (False, 503)
    assert report.checks["replay"].detail == "replaying the log"


async def test_a_check_that_hangs_is_not_ready_and_delays_no_longer_than_its_limit():
    report = await report_of(nats=hangs)
    assert report.checks["nats"].detail == "no answer within 0.05 s"


async def test_a_check_that_breaks_is_not_ready():
    report = await report_of(nats=breaks)
    assert report.checks["nats"].detail == "ConnectionRefusedError: nobody there"


async def test_a_service_without_checks_has_not_finished_starting():
    assert not (await Readiness().report()).is_ready


async def test_a_stopping_service_is_not_ready():
    readiness = Readiness()
    readiness.add("nats", passes)
    readiness.begin_stopping()
    assert (await readiness.report()).as_json()["status"] == "not_ready"
