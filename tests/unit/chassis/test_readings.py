import asyncio
from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric

from vbatch.chassis.readiness import NotReady, Readiness
from vbatch.chassis.readings import OTHER, LabelValues, Readings, readiness_reading


class Thermometer:
    def __init__(self) -> None:
        self.celsius = 21.0
        self.trouble: Exception | None = None

    async def read(self) -> Iterable[Metric]:
        if self.trouble:
            raise self.trouble
        return [GaugeMetricFamily("room_celsius", "Of the room.", value=self.celsius)]


async def test_a_reading_is_as_new_as_the_last_refresh():
    registry, thermometer = CollectorRegistry(), Thermometer()
    readings = Readings(registry, {"room": thermometer.read})
    await readings.refresh()
    thermometer.celsius = 25.0
    await readings.refresh()
    assert registry.get_sample_value("room_celsius") == 25.0


async def test_what_could_not_be_read_is_absent_and_counted():
    registry, thermometer = CollectorRegistry(), Thermometer()
    readings = Readings(registry, {"room": thermometer.read})
    await readings.refresh()
    thermometer.trouble = OSError("unplugged")
    await readings.refresh()
    assert registry.get_sample_value("room_celsius") is None
    assert registry.get_sample_value("vbatch_reading_failures_total", {"reading": "room"}) == 1.0


async def test_a_source_that_does_not_answer_holds_up_no_other(monkeypatch: pytest.MonkeyPatch):
    async def never() -> Iterable[Metric]:
        await asyncio.Event().wait()
        return ()

    monkeypatch.setattr("vbatch.chassis.readings.READING_SECONDS_MAX", 0.01)
    registry = CollectorRegistry()
    await Readings(registry, {"deaf": never, "room": Thermometer().read}).refresh()
    assert registry.get_sample_value("room_celsius") == 21.0


async def test_each_check_of_the_readiness_is_told():
    async def declines() -> None:
        raise NotReady("replaying")

    async def passes() -> None:
        return None

    readiness, registry = Readiness(), CollectorRegistry()
    readiness.add("log", declines)
    readiness.add("disk", passes)
    await Readings(registry, {"ready": readiness_reading(readiness)}).refresh()
    assert registry.get_sample_value("vbatch_ready", {"check": "log"}) == 0.0
    assert registry.get_sample_value("vbatch_ready", {"check": "disk"}) == 1.0


def test_values_beyond_the_bound_share_one_label():
    labels = LabelValues(2)
    assert [labels.of(value) for value in ("a", "b", "c", "a")] == ["a", "b", OTHER, "a"]
