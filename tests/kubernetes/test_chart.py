"""The Helm chart under the real Helm: what it renders fits the schemas of Kubernetes and KEDA, whatever is on."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from deploy.kubernetes.render import CHART, MANIFESTS, render
from tests.kubernetes.tools import HELM, KUBECTL, helm, keda_faults, rendered, run, template
from tests.support.kubernetes import (
    BY_KEDA,
    NEWEST,
    OLDEST,
    container_of,
    environment_of,
    faults,
    named,
    pod_of,
)
from tests.support.paths import ROOT

Values = dict[str, Any]

FLEET: Values = {
    "runners": {
        "gpu": {"replicas": 3, "keda": {"enabled": True, "maxReplicas": 6}, "huggingFaceSecretName": "hub"},
        "fleet": {
            "replicas": 2, "image": "vbatch/services:0.1.0", "secretName": "vbatch-gpu-runner", "tolerations": [],
            "models": {"size": "1Gi"}, "sharedMemory": "64Mi", "env": {"VBATCH_GPU_RUNNER_HAS_STANDBY": "false"},
            "resources": {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
            "keda": {"enabled": False},
        },
    }
}  # fmt: skip
EVERYTHING: Values = FLEET | {
    "labeler": {"enabled": True},
    "toolbox": {"enabled": True},
    "gateway": {"replicas": 3, "apiKeysSecretName": "keys", "serviceType": "LoadBalancer"},
    "console": {"hosts": "batches.example.org", "apiUrl": "https://batches.example.org"},
    "nats": {"url": "tls://a:4222,tls://b:4222", "replicas": 3, "monitorUrl": "http://a:8222"},
    "blobs": {"archiveUrl": "s3://archive", "secretName": ""},
    "shared": {"existingClaim": "nfs", "sameNode": True},
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/a"}},
    "otlpEndpoint": "http://tempo:4318",
    "image": {"pullSecrets": [{"name": "registry"}]},
    "nodeSelector": {"pool": "services"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "podAnnotations": {"a": "b"},
    "networkPolicy": {"clients": [{"podSelector": {}}], "nats": [{"podSelector": {}}], "blobs": [{"podSelector": {}}]},
}
WHOLE: dict[str, Values] = {
    "the default values": {},
    "a fleet": FLEET,
    "everything": EVERYTHING,
    "no network policies": {"networkPolicy": {"enabled": False}},
    "kind": yaml.safe_load((ROOT / "deploy/kubernetes/kind-values.yaml").read_text()),
    "one node": {"shared": {"sameNode": True, "accessModes": ["ReadWriteOnce"]}, "gateway": {"replicas": 1}},
}
each_set = pytest.mark.parametrize("values", WHOLE.values(), ids=WHOLE)


@each_set
def test_helm_finds_nothing_wrong_with_the_chart(values: Values):
    done = helm("lint", str(CHART), "--strict", values=values)
    assert done.returncode == 0, done.stdout


@each_set
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_what_is_rendered_fits_the_schema_of_kubernetes(values: Values, version: str):
    ours = [each for each in rendered(values) if each["apiVersion"] != BY_KEDA]
    assert [fault for each in ours for fault in faults(each, version)] == []


def test_runners_that_keda_scales_fit_its_schema_and_have_no_number_of_their_own():
    found = rendered(FLEET)
    [scaled] = named(found, "ScaledObject").values()
    assert keda_faults(scaled) == []
    assert scaled["spec"]["scaleTargetRef"]["name"] == "vbatch-runner-gpu"
    sets = named(found, "StatefulSet")
    assert "replicas" not in sets["vbatch-runner-gpu"]["spec"] and sets["vbatch-runner-fleet"]["spec"]["replicas"] == 2


def test_the_schema_of_keda_finds_what_is_wrong():
    [scaled] = named(rendered(FLEET), "ScaledObject").values()
    del scaled["spec"]["scaleTargetRef"]["name"]
    assert len(keda_faults(scaled)) == 1


def test_the_gateway_knows_every_runner_that_may_come():
    gateway = named(rendered(FLEET), "Deployment")["vbatch-gateway"]
    urls = str(environment_of(gateway)["VBATCH_GATEWAY_GPU_RUNNER_URLS"]).split()
    assert len(urls) == 6 + 2
    assert {
        "http://vbatch-runner-gpu-5.vbatch-runner-gpu:4084",
        "http://vbatch-runner-fleet-0.vbatch-runner-fleet:4084",
    } <= set(urls)


@pytest.mark.parametrize("policy", ["", '[retention]\ninputs = "30d"\n\n[retention.owners.ann]\noutputs = "36h"\n'])
def test_results_reads_the_retention_policy_of_the_values(policy: str):
    found = rendered({"retention": policy})
    results = named(found, "Deployment")["vbatch-results"]
    [volume] = [volume for volume in pod_of(results)["volumes"] if volume["name"] == "retention"]
    [mount] = [mount for mount in container_of(results)["volumeMounts"] if mount["name"] == "retention"]
    held = named(found, "ConfigMap")[volume["configMap"]["name"]]["data"]
    files = {f"{mount['mountPath']}/{name}": text for name, text in held.items()}
    assert files == {environment_of(results)["VBATCH_RESULTS_RETENTION_FILE"]: policy}


def test_a_runner_of_engines_elsewhere_needs_no_device():
    fleet = named(rendered(FLEET), "StatefulSet")["vbatch-runner-fleet"]
    assert "nvidia.com/gpu" not in container_of(fleet)["resources"]["limits"]
    assert environment_of(fleet)["VBATCH_GPU_RUNNER_HAS_STANDBY"] == "false"


def test_what_shares_a_disk_is_on_one_node_where_the_disk_is():
    found = named(rendered(WHOLE["one node"]), "Deployment")
    together = {name for name, each in found.items() if "affinity" in pod_of(each)}
    assert together == {"vbatch-gateway", "vbatch-results", "vbatch-notifier"}


def test_clients_that_are_named_keep_out_all_others_but_our_own():
    policies = named(rendered(EVERYTHING), "NetworkPolicy")
    [rule] = policies["vbatch-gateway"]["spec"]["ingress"]
    callers = [peer["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/component") for peer in rule["from"]]
    assert callers == [None, "console", "toolbox"]


def test_without_an_object_store_the_chart_says_what_is_missing():
    done = template({"blobs": {"url": ""}})
    assert done.returncode != 0 and "blobs.url names the object store" in done.stderr


def test_two_releases_in_one_namespace_share_no_name():
    one = run(HELM, "template", "one", CHART).stdout
    other = run(HELM, "template", "other", CHART).stdout
    names = [
        {(each["kind"], each["metadata"]["name"]) for each in yaml.safe_load_all(text) if each} for text in (one, other)
    ]
    assert names[0] and not names[0] & names[1]


def test_the_plain_manifests_are_what_the_chart_renders():
    assert MANIFESTS.read_text() == render(HELM)


@pytest.mark.parametrize("folder", ["deploy/kubernetes", "deploy/kubernetes/servers"])
def test_kubectl_builds_the_plain_manifests_into_one_namespace(folder: str):
    done = run(KUBECTL, "kustomize", ROOT / folder)
    assert done.returncode == 0, done.stderr
    built = [each for each in yaml.safe_load_all(done.stdout) if each["kind"] != "Namespace"]
    assert {each["metadata"]["namespace"] for each in built} == {"vbatch"}
    assert [fault for each in built for fault in faults(each, NEWEST)] == []
