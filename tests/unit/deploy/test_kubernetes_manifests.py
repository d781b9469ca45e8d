"""The plain manifests, which are the Helm chart with its default values: they hold every service that the local stack
and Compose run, with the same ports and settings, and fit the schemas of Kubernetes. `./taskw test:kubernetes` looks at
the chart itself."""

from __future__ import annotations

import re
import tomllib
from functools import cache

import pytest

from deploy.kubernetes.render import CHART, DIGEST_PREFIX, MANIFESTS, chart_digest
from tests.support.kubernetes import (
    NEWEST,
    OLDEST,
    Resource,
    container_of,
    environment_of,
    faults,
    named,
    pod_of,
    resources,
    title,
)
from tests.support.paths import ROOT
from tests.unit.deploy.test_compose_file import services as compose_services
from vbatch.gateway.core.model_file import read_model_file
from vbatch.local.container_secrets import POSTGRES_HOST, POSTGRES_PORT, READERS
from vbatch.local.programs import LABELER, SERVICES, Service
from vbatch.local.settings import LocalSettings

RUNNER = "gpu-runner"
SINGLE_WRITERS = {"scheduler", "results", "notifier"}
ONE_PROCESS = SINGLE_WRITERS | {"console"}
"""Sessions of the console stay in its memory."""
OF_CONTAINERS_ALONE = {
    "VBATCH_LOG_FOLDER",  # no disk of the log can be seen from a pod
    "VBATCH_GATEWAY_PUBLISHED_HOST",  # no port is published on an address of a machine
    "VBATCH_CONSOLE_PUBLISHED_HOST",
    "VBATCH_GATEWAY_API_KEYS_FILE",  # by values
    "VBATCH_GATEWAY_LABELER_URL",
    "VBATCH_CONSOLE_API_URL",
    "VBATCH_CONSOLE_HOSTS",
    "VBATCH_OTLP_ENDPOINT",
    "HF_TOKEN_PATH",
}
"""What Compose sets and the manifests leave to their reader."""
OWN_ROLES = {"VBATCH_GATEWAY_POSTGRES_URL", "VBATCH_RESULTS_POSTGRES_URL"}
"""A common setting, given to one service alone."""


@cache
def manifests() -> list[Resource]:
    return resources(MANIFESTS.read_text())


def workloads() -> dict[str, Resource]:
    """What runs for good, by the name of its program."""
    found = [each for each in manifests() if each["kind"] in ("Deployment", "StatefulSet")]
    return {each["metadata"]["labels"]["app.kubernetes.io/component"]: each for each in found}


each_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
each_workload = pytest.mark.parametrize("name", sorted(workloads()))


def test_the_manifests_were_written_from_the_chart_as_it_is():
    assert f"{DIGEST_PREFIX}{chart_digest()}\n" in MANIFESTS.read_text(), "run ./taskw docs:kubernetes"


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("resource", manifests(), ids=title)
def test_the_schema_of_kubernetes_finds_nothing(resource: Resource, version: str):
    assert faults(resource, version) == []


def test_every_service_of_the_local_stack_has_a_workload_and_no_other_has():
    assert workloads().keys() == {service.name for service in SERVICES}


def test_every_service_of_the_local_stack_is_in_the_charts_table():
    table = (CHART / "templates/_helpers.tpl").read_text()
    listed = set(re.findall(r"^([a-z-]+): \{module: ", table, re.MULTILINE))
    assert listed | {RUNNER} == {service.name for service in (*SERVICES, LABELER)}


@each_service
def test_a_service_runs_the_program_of_the_local_stack_on_its_port(service: Service):
    container = container_of(workloads()[service.name])
    assert container["args"] == list(service.arguments[1:])
    assert [port["containerPort"] for port in container["ports"]] == [port_of(service)]
    [address] = [each for each in named(manifests(), "Service").values() if selects(each, service.name)]
    assert [port["port"] for port in address["spec"]["ports"]] == [port_of(service)]


@each_service
def test_a_service_has_the_image_and_the_settings_that_it_has_in_compose(service: Service):
    container, twin = workloads()[service.name], compose_services()[service.name]
    assert container_of(container)["image"] == twin["image"]
    assert twin["environment"].keys() - OF_CONTAINERS_ALONE <= environment_of(container).keys()


@each_service
def test_a_service_gets_the_time_to_stop_that_it_has_in_the_local_stack(service: Service):
    assert pod_of(workloads()[service.name])["terminationGracePeriodSeconds"] > service.stop_seconds_max


@each_service
def test_a_service_finds_its_own_key_of_the_log(service: Service):
    mounted = {volume["name"]: volume for volume in pod_of(workloads()[service.name])["volumes"]}
    if service.reads_log:
        assert mounted["secrets"]["secret"]["secretName"] == f"vbatch-{service.name}"
        assert service.name in {reader.folder for reader in READERS}
    else:
        assert "secrets" not in mounted


def test_a_single_writer_is_never_two():
    deployed = {name: each["spec"] for name, each in workloads().items() if each["kind"] == "Deployment"}
    assert {name for name, spec in deployed.items() if spec["replicas"] == 1} == ONE_PROCESS
    assert {name for name, spec in deployed.items() if spec["strategy"]["type"] == "Recreate"} == ONE_PROCESS


@each_workload
def test_a_pod_fits_the_restricted_standard_and_has_a_read_only_root(name: str):
    pod, container = pod_of(workloads()[name]), container_of(workloads()[name])
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@each_workload
def test_a_container_is_probed_and_has_requests_and_a_limit(name: str):
    container = container_of(workloads()[name])
    assert container["livenessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    assert {"startupProbe", "readinessProbe"} <= container.keys()
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]


@each_workload
def test_a_workload_has_a_disruption_budget_and_a_network_policy(name: str):
    labels = workloads()[name]["spec"]["template"]["metadata"]["labels"]
    budgets = [each["spec"]["selector"]["matchLabels"] for each in named(manifests(), "PodDisruptionBudget").values()]
    policies = [each["spec"]["podSelector"]["matchLabels"] for each in named(manifests(), "NetworkPolicy").values()]
    for selectors in (budgets, policies):
        assert len([selector for selector in selectors if selector.items() <= labels.items()]) == 1


def test_only_gateway_and_console_are_reached_from_elsewhere():
    open_to_all = {
        name
        for name, each in named(manifests(), "NetworkPolicy").items()
        if any("from" not in rule for rule in each["spec"]["ingress"])
    }
    assert open_to_all == {"vbatch-gateway", "vbatch-console"}


def test_the_runner_has_a_device_and_is_known_by_the_name_of_its_pod():
    runner = workloads()[RUNNER]
    assert runner["kind"] == "StatefulSet"
    assert container_of(runner)["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert environment_of(runner)["VBATCH_GPU_RUNNER_ID"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_the_gateway_asks_services_where_they_are():
    told = environment_of(workloads()["gateway"]).items()
    asked = [value for name, value in told if name.endswith(("_URL", "_URLS")) and isinstance(value, str)]
    own = [value for value in asked if value.startswith("http")]
    addresses = named(manifests(), "Service")
    hosts = {re.sub(r"^http://(?:[a-z0-9-]+\.)?([a-z0-9-]+):\d+$", r"\1", url) for urls in own for url in urls.split()}
    assert hosts and hosts <= addresses.keys()


def test_every_setting_is_one_that_the_services_know():
    known = set(re.findall(r"`(VBATCH_[A-Z_]+)`", (ROOT / "docs/configuration.md").read_text())) | OWN_ROLES
    told = {name for each in workloads().values() for name in environment_of(each) if name.startswith("VBATCH")}
    assert told <= known


def test_the_models_are_read_by_the_gateway():
    text = named(manifests(), "ConfigMap")["vbatch-models"]["data"]["models.toml"]
    assert [str(model.id) for model in read_model_file(text)] == [each["id"] for each in tomllib.loads(text)["model"]]


def test_no_secret_has_a_value():
    assert not named(manifests(), "Secret")
    values = [value for each in workloads().values() for value in environment_of(each).values()]
    assert not [value for value in values if isinstance(value, str) and re.search(r"://[^/@]+:[^/@]+@", value)]


def selects(address: Resource, component: str) -> bool:
    return bool(address["spec"]["selector"]["app.kubernetes.io/component"] == component)


def port_of(service: Service) -> int:
    port: int = LocalSettings.model_fields[service.port].get_default(call_default_factory=True)
    return port


def servers() -> list[Resource]:
    files = sorted((ROOT / "deploy/kubernetes/servers").glob("[!k]*.yaml"))
    return [each for path in files for each in resources(path.read_text())]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("resource", servers(), ids=title)
def test_the_schema_of_kubernetes_finds_nothing_in_the_servers(resource: Resource, version: str):
    assert faults(resource, version) == []


@pytest.mark.parametrize("name", ["nats", "postgres"])
def test_a_server_runs_as_in_compose(name: str):
    server, twin = named(servers(), "StatefulSet")[name], compose_services()[name]
    container = container_of(server)
    assert (container["image"], container["args"]) == (twin["image"], twin["command"])
    assert environment_of(server) == twin["environment"]
    assert f"{pod_of(server)['securityContext']['runAsUser']}" == twin["user"].split(":")[0]


def test_the_roles_of_the_database_are_those_of_compose():
    written = named(servers(), "ConfigMap")["postgres-roles"]["data"]["roles.sh"]
    assert written == (ROOT / "deploy/compose/postgres/roles.sh").read_text()


def test_the_addresses_in_the_manifests_are_those_of_the_servers():
    addresses = named(servers(), "Service").items()
    ports = {name: [port["port"] for port in each["spec"]["ports"]] for name, each in addresses}
    assert environment_of(workloads()["scheduler"])["VBATCH_NATS_URL"] == f"nats://nats:{ports['nats'][0]}"
    assert ports["postgres"] == [POSTGRES_PORT] and POSTGRES_HOST in ports
