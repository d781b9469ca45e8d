"""`python -m deploy.kubernetes.render HELM` writes deploy/kubernetes/vbatch.yaml, the plain manifests, from the chart.

The first lines of the file give the chart that it was made from: a digest of its files, so that a change of the chart
is noticed even where no Helm is installed.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CHART = HERE.parent / "helm" / "vllm-batch-server"
MANIFESTS = HERE / "vbatch.yaml"
RELEASE, NAMESPACE = "vbatch", "vbatch"
RENDER_SECONDS_MAX = 60.0
DIGEST_PREFIX = "# chart: sha256:"
HEADER = f"""\
# Written by `./taskw docs:kubernetes` from deploy/helm/vllm-batch-server with its default values; change that instead.
{DIGEST_PREFIX}{{digest}}
"""


def main() -> None:
    MANIFESTS.write_text(render(Path(sys.argv[1])))


def render(helm: Path) -> str:
    """Return the manifests without anything that only Helm understands."""
    argv = [str(helm), "template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--set", "streams.asHook=false"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=RENDER_SECONDS_MAX)
    rendered = done.stdout.replace("app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kubectl")
    return HEADER.format(digest=chart_digest()) + rendered


def chart_digest() -> str:
    """Return the SHA-256 over the names and bytes of all files of the chart."""
    digest = hashlib.sha256()
    for path in sorted(path for path in CHART.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(CHART)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


if __name__ == "__main__":
    main()
