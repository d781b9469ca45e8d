"""What is shipped to browsers."""

import hashlib
import re
from importlib.resources import files

import pytest

from vbatch.console.adapters.http.rendering import PACKAGE, environment

STATIC = files(PACKAGE) / "static"
LICENSES = (STATIC / "LICENSES.txt").read_text()
VENDORED = re.findall(r"^(\S+) .*\n    SHA-256 ([0-9a-f]{64})$", LICENSES, re.MULTILINE)
OWN = {"console.css", "console.js", "playground.js", "results.js", "timeline.js", "favicon.svg", "LICENSES.txt"}


def test_every_file_of_others_is_named_with_its_licence():
    assert {name for name, _ in VENDORED} | OWN == {each.name for each in STATIC.iterdir()}


@pytest.mark.parametrize(("name", "digest"), VENDORED)
def test_a_file_of_others_is_as_it_was_published(name, digest):
    assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest


def test_no_template_has_a_script_or_a_style_inline():
    templates = environment()
    for name in templates.list_templates():
        source, _, _ = templates.loader.get_source(templates, name)  # type: ignore[union-attr]  # it has a loader
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|\|\s*safe", source), name


def test_the_assets_stay_within_their_budget():
    sizes = sum(len(each.read_bytes()) for each in STATIC.iterdir() if each.name != "LICENSES.txt")
    assert sizes < 250_000
