"""What these tests run beside the product; `./taskw test:monitoring` installs it."""

import shutil

import pytest

from tests.support.paths import ROOT

PROGRAMS = ("prometheus", "promtool", "amtool", "prometheus-alertmanager", "prometheus-node-exporter", "node")
PARSERS = ROOT / ".tools" / "parsers"

pytest_plugins = ["tests.monitoring.scene"]


def pytest_sessionstart() -> None:
    """A test that finds its programs missing would pass by not running."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    missing += [] if (PARSERS / "node_modules").is_dir() else ["Grafana's parsers"]
    if missing:
        raise pytest.UsageError(f"not installed: {', '.join(missing)}; ./taskw test:monitoring installs them")
