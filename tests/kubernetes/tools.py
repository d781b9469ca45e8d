"""The real Helm and kubectl, and the schema of KEDA, as `./taskw setup:kubernetes` installs them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import yaml

from deploy.kubernetes.render import CHART, NAMESPACE, RELEASE
from tests.support.kubernetes import Resource, resources
from tests.support.paths import ROOT

TOOLS = ROOT / ".tools/kubernetes"
HELM, KUBECTL = TOOLS / "helm/helm", TOOLS / "kubectl/kubectl"
KEDA_SCRIPT = ROOT / "tests/kubernetes/keda.mjs"
COMMAND_SECONDS_MAX = 60.0


def run(*argv: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(argument) for argument in argv],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS_MAX,
        env=os.environ | {"HOME": str(TOOLS)},
    )


def helm(*arguments: str, values: Mapping[str, object] | None = None) -> subprocess.CompletedProcess[str]:
    """Helm with these values in place of the chart's own."""
    return run(HELM, *arguments, "--values", "-", given=yaml.safe_dump(dict(values or {})))


def template(values: Mapping[str, object]) -> subprocess.CompletedProcess[str]:
    return helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, values=values)


def rendered(values: Mapping[str, object]) -> list[Resource]:
    done = template(values)
    assert done.returncode == 0, done.stderr
    return resources(done.stdout)


def keda_faults(scaled: Resource) -> list[str]:
    """What KEDA's schema finds. Node looks for packages in the working folder where the script comes as text."""
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", KEDA_SCRIPT.read_text()],
        cwd=TOOLS,
        input=json.dumps(scaled),
        capture_output=True,
        text=True,
        check=True,
        timeout=COMMAND_SECONDS_MAX,
    )
    found: list[str] = json.loads(done.stdout)
    return found
