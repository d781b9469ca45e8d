"""What a retention policy says of a file, and which policies are refused with a word on what they may be."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.events import NOON
from vbatch.contracts.ids import FileId, OwnerId
from vbatch.results.adapters.retention_file import RetentionFile
from vbatch.results.core.archive import grace_of
from vbatch.results.core.retention import AgingFile, BadRetention, RetentionPolicy, read_policy

POLICY = """
[retention]
inputs = "30d"

[retention.owners.ann]
outputs = "36h"

[retention.owners.bob]
inputs = "forever"
"""


def file(owner: str, age: timedelta, *, is_output: bool = False) -> AgingFile:
    return AgingFile(1, FileId("file-1"), OwnerId(owner), is_output, NOON - age)


@pytest.mark.parametrize(
    ("owner", "age", "is_output", "is_over"),
    [
        ("ann", timedelta(days=30), False, True),
        ("ann", timedelta(days=29, hours=23), False, False),
        ("ann", timedelta(hours=36), True, True),
        ("ann", timedelta(hours=35), True, False),
        ("bob", timedelta(days=9_000), False, False),
        ("bob", timedelta(days=9_000), True, False),
        ("eve", timedelta(days=31), False, True),
    ],
)
def test_the_rule_of_an_owner_wins_over_that_of_everybody(owner: str, age: timedelta, is_output: bool, is_over: bool):
    asked = file(owner, age, is_output=is_output)
    assert read_policy(POLICY).over([asked], NOON) == [asked] * is_over


def test_nothing_younger_than_the_shortest_rule_is_looked_at():
    assert read_policy(POLICY).shortest() == timedelta(hours=36)
    assert read_policy("").shortest() is None
    assert read_policy('[retention]\ninputs = "forever"').shortest() is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[retention", "not TOML"),
        ("[retain]", r"retain is unknown: the one table is \[retention\]"),
        ("retention = 1", "retention must be a table"),
        ('[retention]\ninput = "30d"', "retention.input is unknown: inputs and outputs can be kept"),
        ("[retention]\ninputs = 30", 'retention.inputs must be like "36h", "30d" or "forever"'),
        ('[retention]\ninputs = "-1d"', "retention.inputs must be like"),
        ('[retention]\ninputs = "9999999d"', "retention.inputs must be like"),
        ('[retention.owners]\nann = "30d"', "ann must be a table"),
        ('[retention.owners.ann]\noutputs = "soon"', "retention.owners.ann.outputs must be like"),
    ],
)
def test_a_policy_that_says_something_else_is_refused_by_its_key(text: str, words: str):
    with pytest.raises(BadRetention, match=words):
        read_policy(text)


def test_a_file_that_is_absent_keeps_everything_and_one_that_is_bad_is_named(tmp_path: Path):
    path = tmp_path / "retention.toml"
    assert RetentionFile(path).read() == RetentionFile(Path("/dev/null")).read() == RetentionPolicy()
    path.write_bytes(b"\xff")
    with pytest.raises(BadRetention, match=str(path)):
        RetentionFile(path).read()
    path.write_text(POLICY)
    assert RetentionFile(path).read() == read_policy(POLICY)


@pytest.mark.parametrize(("log", "disk", "seconds"), [(0.4, 0.7, 60), (0.5, 0.0, 0), (0.0, 0.8, 0)])
def test_batches_are_archived_at_once_when_log_or_disk_fill_up(log: float, disk: float, seconds: int):
    assert grace_of(60, log, disk) == timedelta(seconds=seconds)
