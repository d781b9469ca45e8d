"""The Compose file says what the design says: the real Compose reads it without a daemon, linters look at it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from vbatch.local.postgres import SERVER_SETTINGS
from vbatch.local.programs import SERVICES

COMPOSE = ROOT / "deploy/compose"
PROGRAMS = Path(sys.executable).parent
FILE = COMPOSE / "compose.yaml"
COMMAND_SECONDS_MAX = 30.0

LOOPBACK = "127.0.0.1"
PORTS = {
    "gateway": [4080],
    "console": [4081],
    "nats": [4322, 4328],
    "postgres": [4332],
    "grafana": [4220],
    "loki": [4221],
    "prometheus": [4222],
    "tempo": [4223],
    "node-exporter": [4224],
    "gpu-exporter": [4225],
    "alertmanager": [4226],
    "nats-exporter": [4227],
    "postgres-exporter": [4228],
    "label-studio": [4115],
    "label-studio-db": [4118],
}
JOBS = {"secrets", "streams", "vbatch", "backup"}
WITHOUT_A_PROBE = {"tempo", "alloy", "gpu-exporter"}
"""Their images hold nothing that could ask them."""
ENGINES = {"cpu-runner", "gpu-runner"}
OF_MONITORING = ("prometheus", "alertmanager", "grafana")
TAG = re.compile(r"^[^:@]+:(?!latest\b)[A-Za-z0-9_.-]*\d[A-Za-z0-9_.-]*(@sha256:[0-9a-f]{64})?$")

Service = dict[str, Any]
"""One service as `docker compose config` prints it."""


def compose(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    argv = [str(PROGRAMS / "docker-compose"), "-f", str(FILE), "--env-file", "/dev/null", *arguments]
    return subprocess.run(
        argv, env=environment, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS_MAX
    )


@cache
def configuration(**variables: str) -> dict[str, Any]:
    done = compose("--profile", "*", "config", "--format", "json", **variables)
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def services() -> dict[str, Service]:
    found: dict[str, Service] = configuration()["services"]
    return found


each_service = pytest.mark.parametrize("name", sorted(services()))
each_lasting_service = pytest.mark.parametrize("name", sorted(services().keys() - JOBS))


@pytest.mark.parametrize("profiles", ["", "gpu", "monitoring", "labeling", "tools", "gpu,monitoring,labeling"])
def test_compose_accepts_the_file_with_profiles(profiles: str):
    done = compose("config", "--quiet", COMPOSE_PROFILES=profiles)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_core_needs_no_profile():
    core = {name for name, service in services().items() if not service.get("profiles")}
    ours = {service.name for service in SERVICES} - {"gpu-runner"}
    assert core == ours | {"secrets", "streams", "nats", "postgres", "cpu-runner"}


def test_a_machine_with_a_gpu_can_do_without_the_runner_on_the_processor():
    assert configuration(VBATCH_CPU_RUNNERS="0")["services"]["cpu-runner"]["deploy"]["replicas"] == 0


def test_ports_are_those_of_the_design_and_on_loopback():
    published = {name: service.get("ports", []) for name, service in services().items()}
    found = {name: [int(port["published"]) for port in ports] for name, ports in published.items() if ports}
    assert found == PORTS
    assert {port["host_ip"] for ports in published.values() for port in ports} == {LOOPBACK}


def test_only_the_api_and_its_pages_are_bound_elsewhere_and_the_gateway_is_told():
    bound = configuration(VBATCH_BIND="0.0.0.0", VBATCH_API_KEYS="./keys")["services"]
    elsewhere = {name for name, each in bound.items() for port in each.get("ports", []) if port["host_ip"] != LOOPBACK}
    assert elsewhere == {"gateway", "console"}
    assert bound["gateway"]["environment"]["VBATCH_GATEWAY_PUBLISHED_HOST"] == "0.0.0.0"
    assert bound["console"]["environment"]["VBATCH_CONSOLE_PUBLISHED_HOST"] == "0.0.0.0"
    assert bound["gateway"]["environment"]["VBATCH_GATEWAY_API_KEYS_FILE"] == "/etc/vbatch/api_keys"


def test_results_reads_the_retention_policy_that_is_named_and_otherwise_an_empty_one():
    for variables, source in ({}, "/dev/null"), ({"VBATCH_RETENTION": "/etc/retention.toml"}, "/etc/retention.toml"):
        results = configuration(**variables)["services"]["results"]
        [mount] = [volume for volume in results["volumes"] if volume["type"] == "bind"]
        assert (mount["source"], mount["read_only"]) == (source, True)
        assert results["environment"]["VBATCH_RESULTS_RETENTION_FILE"] == mount["target"]


@each_service
def test_an_image_is_pinned(name: str):
    assert TAG.match(services()[name]["image"])


@each_service
def test_a_service_has_limits(name: str):
    limits = services()[name]["deploy"]["resources"]["limits"]
    wanted = {"memory", "pids"} if name in ENGINES else {"memory", "pids", "cpus"}
    assert limits.keys() == wanted


@each_service
def test_a_service_has_few_rights_and_rotated_logs(name: str):
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("read_only", False) is (name != "label-studio")
    assert service["logging"]["options"].keys() >= {"max-size", "max-file"}
    assert not service.get("privileged") and "docker.sock" not in json.dumps(service)


@each_lasting_service
def test_a_lasting_service_starts_again_and_is_asked_whether_it_is_ready(name: str):
    service = services()[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"].get("disable", False) is (name in WITHOUT_A_PROBE)


@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_job_runs_once(name: str):
    assert services()[name]["restart"] == "no"


@each_service
def test_every_mount_is_there(name: str):
    binds = [volume["source"] for volume in services()[name].get("volumes", []) if volume["type"] == "bind"]
    ours = [Path(source) for source in binds if Path(source).is_relative_to(ROOT)]
    if name in OF_MONITORING and not (ROOT / "deploy/monitoring" / name).exists():
        pytest.skip("the configuration of monitoring is not in this tree")
    assert [source for source in ours if not source.exists()] == []


def test_no_secret_stands_in_an_environment():
    named = [variable for service in services().values() for variable in service.get("environment", {})]
    secret = [name for name in named if re.search("PASSWORD|TOKEN|SECRET", name)]
    assert {name for name in secret if not name.endswith(("_FILE", "_PATH"))} == {
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN"
    }


def test_a_volume_of_secrets_has_one_reader_beside_its_maker():
    readers: dict[str, set[str]] = {}
    for name, service in services().items():
        for volume in service.get("volumes", []):
            if volume["type"] == "volume" and volume["source"].startswith("secrets-"):
                readers.setdefault(volume["source"], set()).add(name)
                writes = name in ("secrets", "backup") or (name, volume["source"]) == ("gateway", "secrets-webhooks")
                assert writes or volume["read_only"]
    shared = {
        "secrets-gpu-runner": {"cpu-runner", "gpu-runner"},
        "secrets-operator": {"streams", "vbatch"},
        "secrets-webhooks": {"gateway", "notifier"},
    }
    made = {source: names - {"secrets"} for source, names in readers.items()}
    assert made.pop("secrets-masters") == {"backup"}
    assert {source: names for source, names in made.items() if len(names) != 1} == shared


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_gets_the_time_to_stop_that_it_has_in_the_local_stack(service: Any):
    name = service.name
    assert int(services()[name]["stop_grace_period"].removesuffix("s").replace("1m0", "60")) >= service.stop_seconds_max


def test_postgres_runs_with_the_settings_of_the_local_stack():
    given = dict(argument.removeprefix("-c").split("=", 1) for argument in services()["postgres"]["command"][1:])
    assert given == SERVER_SETTINGS


def test_the_gpu_image_has_the_vllm_that_the_engines_lock_pins():
    dockerfile = (COMPOSE / "Dockerfile").read_text()
    wanted = re.search(r"^vllm==(\S+)", (ROOT / "deploy/engine/requirements-gpu.in").read_text(), re.MULTILINE)
    assert wanted and f"vllm/vllm-openai:v{wanted[1]}\n" in dockerfile


def test_a_probe_starts_without_what_it_does_not_need():
    """Each container is asked every few seconds: settings and TLS took four times the processor of the rest."""
    argv = [sys.executable, "-c", "import sys, vbatch.local.ready; print('pydantic' in sys.modules)"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=COMMAND_SECONDS_MAX)
    assert done.stdout.strip() == "False"


def test_every_variable_stands_in_the_example():
    asked_for = set(re.findall(r"\$\{([A-Z_]+)", FILE.read_text()))
    explained = set(re.findall(r"^([A-Z_]+)=", (COMPOSE / ".env.example").read_text(), re.MULTILINE))
    assert explained == asked_for | {"COMPOSE_PROFILES"}


def test_the_example_says_the_defaults():
    example = dict(re.findall(r"^([A-Z_]+)=(.*)$", (COMPOSE / ".env.example").read_text(), re.MULTILINE))
    example.pop("COMPOSE_PROFILES")
    assert configuration(**example) == configuration()


@dataclass(frozen=True)
class Lint:
    """A linter and what it looks at."""

    program: str
    arguments: tuple[str, ...]


LINTS = (
    Lint(
        "hadolint",
        ("deploy/compose/Dockerfile", "deploy/compose/local/Dockerfile", "deploy/compose/local/systemd.Dockerfile"),
    ),
    Lint("compose-lint", ("--fail-on", "low", "deploy/compose/compose.yaml")),
)


@pytest.mark.parametrize("lint", LINTS, ids=lambda lint: lint.program)
def test_a_linter_finds_nothing(lint: Lint):
    argv = [str(PROGRAMS / lint.program), *lint.arguments]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS_MAX)
    assert done.returncode == 0, done.stdout


def pins(lock: str) -> dict[str, str]:
    """Each entry of a lock file with its hashes, by the name and version that it begins with."""
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    return {entry.split(" ", 1)[0]: entry for entry in entries}


@pytest.mark.parametrize(
    ("part", "whole"),
    [
        ("deploy/compose/requirements.lock", "requirements.lock"),
        ("deploy/engine/requirements-models.lock", "deploy/engine/requirements-gpu.lock"),
        ("deploy/engine/requirements-models.lock", "deploy/engine/requirements-cpu.lock"),
    ],
)
def test_an_image_has_the_versions_that_were_tested(part: str, whole: str):
    assert pins(part) and pins(part).items() <= pins(whole).items()
