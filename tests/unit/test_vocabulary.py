"""The glossary of docs/architecture.md holds in the sources: no identifier uses a word that it rules out."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("libs/*/src", "services/*/src", "client/src", "cli/src", "deploy/local/src")
LOOP_VARIABLE = "it"
"""A name that says nothing of what it holds; the glossary need not list it."""

NAMES_OF_OTHERS = {"MarkdownIt"}
"""Of libraries, which chose them."""


def glossary() -> dict[str, list[str]]:
    """Each term with the words that are not used for it."""
    table = (ROOT / "docs" / "architecture.md").read_text().split("## Glossary")[1].split("\n## ")[0]
    rows = [row.strip("|").split("|") for row in table.splitlines() if row.startswith("| ")]
    return {row[0].strip(): re.findall(r"`(\w+)`", row[2]) for row in rows[1:]}


FORBIDDEN = {LOOP_VARIABLE, *(word for words in glossary().values() for word in words)}


def identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno


def words_of(identifier: str) -> Iterator[str]:
    """`snake_case` and `CamelCase` names in their parts, and the parts joined by two, lower case."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier).lower().replace(".", "_").split("_")
    yield from parts
    yield from ("_".join(pair) for pair in itertools.pairwise(parts))


def source_files() -> list[Path]:
    return sorted(path for pattern in SOURCES for root in ROOT.glob(pattern) for path in root.rglob("*.py"))


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_file_keeps_to_the_glossary(path: Path):
    found = [
        f"line {line}: {name}"
        for name, line in identifiers(ast.parse(path.read_text()))
        if name not in NAMES_OF_OTHERS and FORBIDDEN.intersection(words_of(name))
    ]
    assert found == []


def test_module_names_keep_to_the_glossary():
    assert [path.stem for path in source_files() if FORBIDDEN.intersection(words_of(path.stem))] == []


def test_the_glossary_rules_something_out():
    assert {"job", "dips", "figures"} <= FORBIDDEN
    assert list(words_of("VigilOfFigures")) == ["vigil", "of", "figures", "vigil_of", "of_figures"]
