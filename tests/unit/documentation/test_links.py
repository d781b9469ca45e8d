"""Every link of the documents leads somewhere, and the built site loads nothing from elsewhere."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from documentation.links import anchors, broken_links, documents
from documentation.site_check import faults
from tests.support.paths import ROOT


@pytest.mark.parametrize("document", documents(), ids=lambda document: str(document.relative_to(ROOT)))
def test_the_links_of_a_document_lead_somewhere(document: Path):
    assert broken_links(document) == []


def test_a_link_to_a_missing_file_or_heading_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](page.md#one) [b](page.md#two) [c](other.md) `[d](code.md)` [e](https://example.org)\n")
    assert broken_links(page) == ["page.md#two", "other.md"]


def test_anchors_are_made_as_github_makes_them(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# Who may do what?\n## `vbatch up`, by hand\n```sh\n# no heading\n```\n")
    assert anchors(page) == {"who-may-do-what", "vbatch-up-by-hand"}


def test_every_page_is_in_the_site_and_every_entry_of_the_site_is_a_page():
    project = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    listed = {
        page for section in project["nav"] for entry in section.values() for each in entry for page in each.values()
    }
    assert listed == {path.name for path in (ROOT / "docs").glob("*.md")}


def test_a_site_that_loads_from_another_host_or_a_missing_file_is_at_fault(tmp_path: Path):
    (tmp_path / "there.js").write_text("")
    (tmp_path / "main.css").write_text("@import 'https://fonts.example/a.css'; a { background: url(gone.png) }")
    (tmp_path / "index.html").write_text(
        '<link rel="stylesheet" href="main.css"><script src="there.js"></script>'
        '<script src="//cdn.example/x.js"></script>'
        '<img src="gone.svg"><img src="/there.js"><a href="https://example.org">a link is no load</a>'
    )
    assert list(faults(tmp_path)) == [
        "index.html loads //cdn.example/x.js from another host",
        "index.html loads gone.svg, which is not there",
        "index.html loads /there.js, which works only where the site is served at the root",
        "main.css loads https://fonts.example/a.css from another host",
        "main.css loads gone.png, which is not there",
    ]
