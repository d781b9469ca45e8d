"""What these tests run beside the product; `./taskw test:monitoring` installs it."""

import shutil
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PROGRAMS = ("prometheus", "promtool", "amtool", "prometheus-alertmanager", "prometheus-node-exporter", "node")
PARSERS = ROOT / ".tools" / "parsers"

pytest_plugins = ["tests.monitoring.scene"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    missing += [] if (PARSERS / "node_modules").is_dir() else ["Grafana's parsers"]
    here = Path(__file__).parent
    for item in items:
        if missing and here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(missing)}; see test:monitoring"))
