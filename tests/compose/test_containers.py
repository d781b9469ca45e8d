"""The whole stack in containers: it serves, nobody has more rights than needed, a killed container loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest
from openai import NotFoundError, OpenAI

from tests.compose.conftest import UNHURRIED
from tests.compose.containers import URL, Containers
from tests.conformance.conftest import URL_VARIABLE
from tests.e2e.asking import (
    Line,
    assert_each_line_once_in_order,
    chat_line,
    ended,
    jsonl,
    submit,
    wait_for_progress,
)
from tests.support.paths import ROOT
from tests.support.stack import CHAT, SLOW_CHAT, wait_until
from vbatch.local.programs import LABELER, SERVICES

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

OURS = ("gateway", "scheduler", "results", "notifier", "console", "cpu-runner")
CORE = (*OURS, "nats", "postgres")
SCRAPED = {service.name for service in SERVICES} | {"node", "postgres", "prometheus"}
IMAGE = "vbatch/services:0.1.0"
IMAGE_BYTES_MAX = 250_000_000
REQUESTS = 3_000
DISTURBED_AT = 300
END_SECONDS_MAX = 180.0
UNHURRIED_SECONDS_MAX = 300.0
HEALTHY_SECONDS_MAX = 180.0
DELETED_SECONDS_MAX = 180.0

CAPABILITIES = "print([line.split()[1] for line in open('/proc/1/status') if line.startswith('CapEff')][0])"
UID = "import os; print(os.getuid())"
WRITE_TO_ROOT = "open('/written', 'w')"
REACH_OUT = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=3)"
OWN_SECRETS = """
import os
print(sorted(entry.name for entry in os.scandir('/var/lib/vbatch/secrets') if entry.is_file()))
"""
METRICS = """
from urllib.request import urlopen
print(urlopen('http://127.0.0.1:4085/metrics', timeout=10).read().decode())
"""
SEALED = "import os; print(os.listdir('/var/lib/vbatch/secrets/webhooks'))"


def lines(model: str, count: int = REQUESTS) -> list[Line]:
    return [chat_line(number, model) for number in range(count)]


def test_everything_of_the_core_is_healthy(containers: Containers):
    assert {name: containers.is_healthy(name) for name in CORE} == dict.fromkeys(CORE, True)


def test_the_image_of_the_services_is_small(containers: Containers):
    assert int(containers.image(IMAGE, "{{.Size}}")) < IMAGE_BYTES_MAX


def test_a_batch_is_answered_whole(client: OpenAI):
    given = lines(CHAT)
    found = ended(client, submit(client, jsonl(given)).id, END_SECONDS_MAX)

    assert found.batch.status == "completed"
    assert_each_line_once_in_order(given, found)


@pytest.mark.parametrize("victim", CORE)
def test_a_batch_survives_a_crash_of(containers: Containers, client: OpenAI, victim: str):
    given, restarts = lines(SLOW_CHAT), containers.restarts(victim)
    batch = submit(client, jsonl(given))
    wait_for_progress(client, batch.id, DISTURBED_AT)
    containers.kill(victim)
    found = ended(client, batch.id, END_SECONDS_MAX)

    assert found.batch.status == "completed"
    assert_each_line_once_in_order(given, found)
    assert containers.restarts(victim) == restarts + 1
    wait_until(lambda: containers.is_healthy(victim), f"{victim} is healthy again", HEALTHY_SECONDS_MAX)


def test_a_batch_survives_docker_kill_of_every_container_in_turn(containers: Containers, client: OpenAI):
    given = lines(UNHURRIED, 3 * REQUESTS)
    batch = submit(client, jsonl(given))
    wait_for_progress(client, batch.id, DISTURBED_AT)
    for victim in CORE:
        containers.docker_kill(victim)
        wait_until(partial(containers.is_healthy, victim), f"{victim} is healthy again", HEALTHY_SECONDS_MAX)
    found = ended(client, batch.id, UNHURRIED_SECONDS_MAX)

    assert found.batch.status == "completed"
    assert_each_line_once_in_order(given, found)


def test_down_and_up_keeps_what_was_answered(containers: Containers):
    given = lines(CHAT, 100)
    with containers.client() as client:
        before = ended(client, submit(client, jsonl(given)).id, END_SECONDS_MAX)
    containers.down(with_volumes=False)
    containers.up()
    with containers.client() as client:
        after = ended(client, before.batch.id, END_SECONDS_MAX)

    assert after.output == before.output


def test_a_backup_brings_the_answers_back(containers: Containers, tmp_path: Path):
    """The database and the growing files are not in it: they follow from the log."""
    with containers.client() as client:
        before = ended(client, submit(client, jsonl(lines(CHAT, 100))).id, END_SECONDS_MAX)
    containers.save(tmp_path / "backup.tar")
    containers.down(with_volumes=True)
    containers.restore(tmp_path / "backup.tar")
    containers.up()
    with containers.client() as client:
        after = ended(client, before.batch.id, END_SECONDS_MAX)

    assert after.output == before.output


def test_the_clients_of_the_conformance_suite_get_what_they_expect(containers: Containers):
    argv = [sys.executable, "-m", "pytest", "-q", "tests/conformance"]
    environment = os.environ | {URL_VARIABLE: URL}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("service", OURS)
def test_a_service_has_no_rights_on_its_container(containers: Containers, service: str):
    assert containers.inside(service, UID).stdout.strip() == "10001"
    assert int(containers.inside(service, CAPABILITIES).stdout, 16) == 0
    assert "Read-only file system" in containers.inside(service, WRITE_TO_ROOT, check=False).stderr


@pytest.mark.parametrize("service", ("gateway", "scheduler", "results"))
def test_a_service_reaches_nothing_outside(containers: Containers, service: str):
    complaint = containers.inside(service, REACH_OUT, check=False).stderr
    assert "TimeoutError" in complaint or "Network is unreachable" in complaint


@pytest.mark.parametrize(
    ("service", "files"),
    [
        ("gateway", ["lane-token", "nats.nk", "postgres-url"]),
        ("results", ["nats.nk", "postgres-url"]),
        ("scheduler", ["lane-token", "nats.nk"]),
        ("notifier", ["nats.nk"]),
        ("cpu-runner", ["lane-token", "nats.nk"]),
    ],
)
def test_a_service_sees_its_own_secrets_alone(containers: Containers, service: str, files: list[str]):
    assert containers.inside(service, OWN_SECRETS).stdout.strip() == repr(files)


@pytest.mark.parametrize("service", ("scheduler", "results", "cpu-runner"))
def test_a_service_that_sends_no_webhooks_sees_no_secret_of_theirs(containers: Containers, service: str):
    assert containers.inside(service, SEALED).stdout.strip() == "[]"


def test_the_operators_command_reads_the_log(containers: Containers):
    told = containers.compose("run", "--rm", "-T", "vbatch", "events", "--type", "runner.*", "--json").stdout
    assert {json.loads(line)["name"] for line in told.splitlines()} >= {"runner.lease"}


def test_the_read_model_is_the_one_that_the_log_tells(containers: Containers):
    done = containers.compose("run", "--rm", "-T", "vbatch", "rebuild", "--verify", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_labeler_is_ready_without_label_studio_and_after_a_crash(containers: Containers):
    """Its profile has an image of others that only a registry has; what it sends waits until Label Studio answers."""
    containers.up(LABELER.name)
    try:
        restarts = containers.restarts(LABELER.name)
        containers.kill(LABELER.name)
        wait_until(lambda: containers.restarts(LABELER.name) > restarts, "it is started again", HEALTHY_SECONDS_MAX)
        wait_until(lambda: containers.is_healthy(LABELER.name), "it is healthy again", HEALTHY_SECONDS_MAX)
        assert containers.inside(LABELER.name, OWN_SECRETS).stdout.strip() == repr(
            ["label-studio-token-password", "nats.nk"]
        )
    finally:
        containers.compose("rm", "--stop", "--force", LABELER.name)


def test_files_are_kept_until_a_retention_policy_is_mounted(containers: Containers, client: OpenAI, tmp_path: Path):
    policy = tmp_path / "retention.toml"
    policy.write_text('[retention]\noutputs = "0h"\n')
    output = ended(client, submit(client, jsonl(lines(CHAT, 100))).id, END_SECONDS_MAX).batch.output_file_id
    assert output and "vbatch_retention_policy_readable 1.0" in containers.inside("results", METRICS).stdout
    try:
        containers.given(VBATCH_RETENTION=str(policy)).up("results")
        wait_until(lambda: is_deleted(client, output), "results deletes the output file", DELETED_SECONDS_MAX)
    finally:
        containers.up("results")


def is_deleted(client: OpenAI, file_id: str) -> bool:
    try:
        client.files.retrieve(file_id)
    except NotFoundError:
        return True
    return False


def test_prometheus_finds_what_is_up(containers: Containers):
    if "prometheus" not in containers.states():
        pytest.skip("the profile monitoring is not up")

    def found() -> set[str]:
        with urlopen("http://127.0.0.1:4222/api/v1/targets?state=active") as answer:
            targets = json.load(answer)["data"]["activeTargets"]
        return {target["labels"]["job"] for target in targets if target["health"] == "up"}

    wait_until(lambda: found() >= SCRAPED, "every job is up", HEALTHY_SECONDS_MAX)


def test_the_gateway_tells_the_same_from_outside(containers: Containers):
    with urlopen(f"{URL}/ready") as answer:
        assert json.load(answer)["status"] == "ready"
