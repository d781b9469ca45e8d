"""Kubernetes resources as the tests of the chart and of the plain manifests look at them."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import yaml

OLDEST, NEWEST = "1.27", "1.37"
"""The versions of Kubernetes whose schemas are asked: the oldest that the chart allows, and the newest there is."""
BY_KEDA = "keda.sh/v1alpha1"
Resource = dict[str, Any]
"""One resource as YAML says it."""


def resources(text: str) -> list[Resource]:
    return [document for document in yaml.safe_load_all(text) if document is not None]


def named(found: list[Resource], kind: str) -> dict[str, Resource]:
    """The resources of a kind by name."""
    return {each["metadata"]["name"]: each for each in found if each["kind"] == kind}


def title(resource: Resource) -> str:
    return f"{resource['kind']}/{resource['metadata']['name']}"


def faults(resource: Resource, version: str) -> list[str]:
    """What the schema of this version of Kubernetes finds; an unknown field is a fault, too."""
    try:
        kubernetes_validate.validate(resource, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{title(resource)}: {error.message}"]
    return []


def pod_of(resource: Resource) -> Resource:
    """The pod of a Deployment, a StatefulSet or a Job."""
    pod: Resource = resource["spec"]["template"]["spec"]
    return pod


def container_of(resource: Resource) -> Resource:
    [container] = pod_of(resource)["containers"]
    return dict(container)


def environment_of(resource: Resource) -> dict[str, Any]:
    """The value of each variable, or where it comes from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container_of(resource).get("env", [])}
