"""A batch of the whole stack on a real Ray Serve, which is scaled, loses a replica and then its head."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.asking import assert_each_line_once_in_order, chat_line, ended, jsonl, submit, wait_for_progress
from tests.fleets.ray_serve import RayServe, ray_serve, simulated
from tests.support.stack import running_stack, wait_until

pytestmark = pytest.mark.timeout(900)

MODEL = "fleet"
REQUESTS = 6_000
INSIDE, LATENCY_SECONDS = 4, 0.4
RATE = INSIDE / LATENCY_SECONDS
"""The most that one replica answers a second."""
FAST_INSIDE, FAST_LATENCY_SECONDS = 64, 0.1
RECENT_SECONDS = 4.0
CHANGE_SECONDS_MAX, END_SECONDS_MAX = 120.0, 300.0


def rate(work_log: Path) -> float:
    """The requests that all engines together answered a second, lately."""
    since = time.time() - RECENT_SECONDS
    notes = (line.split() for line in work_log.read_text().splitlines())
    return sum(note[1] == "answered" and float(note[0]) >= since for note in notes) / RECENT_SECONDS


def deployed(ray: RayServe, replicas: int, work_log: Path) -> None:
    ray.deploy(replicas, simulated(work_log, LATENCY_SECONDS, INSIDE), INSIDE)
    wait_until(lambda: len(ray.replicas()) == replicas, f"there are {replicas} replicas", CHANGE_SECONDS_MAX)


def test_a_batch_on_ray_serve_outlives_its_scaling_a_dead_replica_and_a_dead_head(tmp_path: Path):
    work_log, models = tmp_path / "work.log", tmp_path / "models.toml"
    with ray_serve() as ray:
        deployed(ray, 1, work_log)
        wait_until(ray.is_answering, "Ray Serve answers", CHANGE_SECONDS_MAX)
        models.write_text(
            f'[[model]]\nid = "{MODEL}"\nengine = "http"\nbase_url = "{ray.url}"\nmax_num_seqs = {INSIDE}\n'
        )
        with running_stack(models) as stack, stack.client() as client:
            given = [chat_line(number, MODEL) for number in range(REQUESTS)]
            batch = submit(client, jsonl(given))
            wait_for_progress(client, batch.id, 20)
            wait_until(lambda: 0.7 * RATE < rate(work_log) <= 1.1 * RATE, "one works", CHANGE_SECONDS_MAX)
            deployed(ray, 4, work_log)
            wait_until(lambda: rate(work_log) > 2.5 * RATE, "four work", CHANGE_SECONDS_MAX)

            victim = ray.replicas()[0]
            victim.kill()
            wait_until(lambda: victim not in ray.replicas(), "it is gone", CHANGE_SECONDS_MAX)
            wait_until(lambda: len(ray.replicas()) == 4, "Ray replaces the dead replica", CHANGE_SECONDS_MAX)
            deployed(ray, 2, work_log)
            wait_until(lambda: RATE < rate(work_log) <= 2.1 * RATE, "two work", CHANGE_SECONDS_MAX)

            wait_for_progress(client, batch.id, 20)  # the batch has not ended
            ray.kill()
            ray.start()
            ray.deploy(2, simulated(work_log, FAST_LATENCY_SECONDS, FAST_INSIDE), FAST_INSIDE)
            found = ended(client, batch.id, END_SECONDS_MAX)
            assert found.batch.status == "completed", stack.logs()
            assert found.errors == []
            assert_each_line_once_in_order(given, found)
