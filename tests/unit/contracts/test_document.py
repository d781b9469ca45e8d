"""The generated documents are current, and a program can find its way in them."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.paths import ROOT
from vbatch.contracts.catalogue import KINDS
from vbatch.contracts.document import asyncapi, files


def test_the_committed_documents_are_current():
    stale = [name for name, text in files().items() if (ROOT / "docs" / name).read_text() != text]
    assert stale == [], "run `task docs`"


def test_every_event_has_a_channel_a_message_and_an_operation():
    document = asyncapi()
    for kind in KINDS:
        key = kind.name.replace(".", "_")
        assert document["channels"][key]["address"].startswith(f"evt.{kind.aggregate}.")
        assert document["components"]["messages"][key]["name"] == kind.ce_type
        assert document["operations"][f"send_{key}"]["action"] == "send"


def test_every_reference_leads_somewhere():
    document = asyncapi()
    for reference in _references(document):
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_every_event_says_what_it_means():
    assert [kind.name for kind in KINDS if not kind.type.__dict__.get("__doc__")] == []


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
