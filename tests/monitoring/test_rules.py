"""The rules as Prometheus' own tools judge them, and two alerts that fire and resolve for real."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.monitoring.scene import Scene
from tests.support.monitoring import MONITORING
from tests.support.stack import wait_until

FIRE_SECONDS_MAX = 30.0
RESOLVE_SECONDS_MAX = 60.0
TOOL_SECONDS_MAX = 180.0


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=TOOL_SECONDS_MAX)


@pytest.mark.timeout(200)
def test_each_alert_fires_and_stays_silent_as_its_cases_say():
    done = run("promtool", "test", "rules", MONITORING / "prometheus" / "tests" / "alerts.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_of_prometheus_is_sound():
    done = run("promtool", "check", "config", MONITORING / "prometheus" / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_of_alertmanager_is_sound():
    done = run("amtool", "check-config", MONITORING / "alertmanager" / "alertmanager.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def is_told(scene: Scene) -> bool:
    return scene.prometheus.alertmanager_has("ServiceDown")


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_a_service_that_is_down_raises_an_alert_that_ends_when_it_is_back(scene: Scene):
    assert not scene.prometheus.is_firing("ServiceDown")
    scene.supervisor.stop_program("results")
    try:
        wait_until(lambda: scene.prometheus.is_firing("ServiceDown"), "ServiceDown fires", FIRE_SECONDS_MAX)
        wait_until(partial(is_told, scene), "Alertmanager is told", FIRE_SECONDS_MAX)
    finally:
        scene.supervisor.start_program("results")
    wait_until(lambda: not scene.prometheus.is_firing("ServiceDown"), "ServiceDown resolves", RESOLVE_SECONDS_MAX)
    wait_until(lambda: not is_told(scene), "Alertmanager is told of the end", RESOLVE_SECONDS_MAX)
    scene.stack.wait_until_ready()


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_an_engine_that_died_again_and_again_raised_an_alert(scene: Scene):
    assert scene.prometheus.is_firing("EngineCrashLoop")


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_a_model_that_does_not_load_raised_an_alert(scene: Scene):
    assert scene.prometheus.series('ALERTS{alertname="ModelDoesNotLoad",alertstate="firing"}')
