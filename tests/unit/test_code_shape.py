"""The sources keep their shape: short files, short functions, and data classes that do not change."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.paths import ROOT

SOURCES = ("libs/*/src", "services/*/src", "client/src", "cli/src", "deploy/local/src")
FILE_LINES_MAX = 400
FUNCTION_LINES_P90_MAX = 12
FROZEN_SHARE_MIN = 0.85

Function = ast.FunctionDef | ast.AsyncFunctionDef


def test_no_file_is_longer_than_a_reader_holds_in_mind():
    lengths = {str(path.relative_to(ROOT)): len(source.splitlines()) for path, (source, _) in sources().items()}
    assert {path: length for path, length in lengths.items() if length > FILE_LINES_MAX} == {}


def test_nine_functions_in_ten_are_short():
    lengths = sorted(length for source, tree in sources().values() for length in function_lengths(source, tree))
    assert len(lengths) > 1_000
    assert lengths[int(0.9 * len(lengths))] <= FUNCTION_LINES_P90_MAX


def test_most_data_classes_are_frozen():
    found = [is_frozen for _, tree in sources().values() for is_frozen in data_classes(tree)]
    assert len(found) > 100
    assert sum(found) / len(found) >= FROZEN_SHARE_MIN


def test_blanks_comments_and_docstrings_do_not_count():
    source = 'def f(x):\n    """Words,\n    and more."""\n\n    # a remark\n    y = (\n        x\n    )\n    return y\n'
    assert list(function_lengths(source, ast.parse(source))) == [5]


@cache
def sources() -> dict[Path, tuple[str, ast.Module]]:
    paths = [path for pattern in SOURCES for folder in ROOT.glob(pattern) for path in folder.rglob("*.py")]
    return {path: (source, ast.parse(source)) for path in paths for source in [path.read_text()]}


def function_lengths(source: str, tree: ast.Module) -> Iterator[int]:
    """Lines of code from `def` to the end; without what a protocol or an overload leaves open."""
    lines = code_lines(source) - {line for text in docstrings(tree) for line in lines_of(text)}
    for node in ast.walk(tree):
        if isinstance(node, Function) and any(not is_open(statement) for statement in node.body):
            yield len(lines.intersection(lines_of(node)))


def code_lines(source: str) -> set[int]:
    lines = [line.strip() for line in source.splitlines()]
    return {number for number, line in enumerate(lines, start=1) if line and not line.startswith("#")}


def docstrings(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | Function) and node.body and is_text(node.body[0]):
            yield node.body[0]


def is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def is_open(statement: ast.stmt) -> bool:
    return is_text(statement) or isinstance(statement, ast.Pass)


def lines_of(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def data_classes(tree: ast.Module) -> Iterator[bool]:
    """Of each data class, whether it is frozen."""
    for node in ast.walk(tree):
        for decorator in node.decorator_list if isinstance(node, ast.ClassDef) else ():
            text = ast.unparse(decorator)
            if text.split("(")[0] == "dataclass":
                yield "frozen=True" in text
