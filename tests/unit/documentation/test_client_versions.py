"""The page of compatibility names the versions of other clients that are tried."""

from __future__ import annotations

import json
import tomllib

from tests.support.paths import ROOT

CLIENTS = ROOT / "tests" / "clients"


def test_the_page_names_the_versions_that_are_tried():
    page = (ROOT / "docs" / "compatibility.md").read_text()
    requirements: dict[str, list[str]] = tomllib.loads((CLIENTS / "requirements.toml").read_text())
    versions = [requirement.partition("==")[2] for client in requirements.values() for requirement in client]
    package = json.loads((CLIENTS / "vercel_ai" / "package.json").read_text())
    versions += [version for name, version in package["dependencies"].items() if "ai" in name]
    assert versions and [version for version in versions if version not in page] == []
