"""A newcomer who searches for the obvious word finds the right file among the first three, or in the table
"Where a rule lives". The files are ranked by how often the word occurs in them."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

import pytest

from tests.support.paths import ROOT

HITS = 3
TOP_FOLDERS = ("services", "libs", "deploy", "client", "cli")
QUESTIONS = {
    "when a batch expires": ("expires_at", "scheduler/core/decide.py"),
    "the longest completion window": ("COMPLETION_WINDOW", "contracts/completion_window.py"),
    "how a file is split into lines": ("RequestLines", "contracts/lines.py"),
    "what makes a line invalid": ("Unfit", "scheduler/core/planning/request_line.py"),
    "which status may follow which": ("TRANSITIONS", "contracts/lifecycle.py"),
    "which model is loaded next": ("density", "scheduler/core/policy/density.py"),
    "how a prefix group is formed": ("prefix", "scheduler/core/planning/prefix_order.py"),
    "how a poison request is found": ("bisection", "scheduler/core/state/bisection.py"),
    "when a request is retried, and how often": ("retry", "gpu_runner/core/retrying.py"),
    "what happens after out of memory": ("out of memory", "gpu_runner/core/ladder.py"),
    "how much fits on a GPU": ("kv_cache", "gpu_runner/core/fit.py"),
    "how many requests are inside the engine at once": ("ConcurrencyLimit", "gpu_runner/core/concurrency.py"),
    "how large a chunk becomes": ("CHUNK_", "gpu_runner/core/chunks.py"),
    "how a zombie is refused": ("Fenced", "journal/single_writer/writer.py"),
    "how an append survives a lost answer": ("append", "journal/jetstream/stream.py"),
    "where an API key is checked": ("api_key", "gateway/core/access.py"),
    "where a rate limit is counted": ("RateLimit", "gateway/core/rate_limits.py"),
    "what one SSE event looks like": ("event-stream", "gateway/adapters/sse.py"),
    "how the ETA is computed": ("eta", "scheduler/core/forecast/forecast.py"),
    "which event versions exist": ("version", "contracts/catalogue.py"),
    "how an output file is put in order": ("sealed", "results/flows/sealed_pages.py"),
    "how a rebuild compares": ("differences", "results/flows/verifying.py"),
    "how the local stack restarts a dead service": ("autorestart", "local/supervisor.py"),
    "where a setting gets its default": ("ServiceSettings", "gateway/settings.py"),
    "how a new endpoint is added to the simulated engine": ("BUILDERS", "gpu_runner/simulated/answers.py"),
}
"""Each question with the word that a newcomer searches for and the file that answers it."""


@pytest.mark.parametrize(("word", "answer"), QUESTIONS.values(), ids=QUESTIONS)
def test_the_obvious_word_or_the_table_leads_to_the_file(word: str, answer: str):
    assert any(path.endswith(answer) for path in sources()), f"{answer} has moved"
    assert leads_by_word(word, answer) or leads_by_table(answer), first_hits(word)


def test_a_name_belongs_to_the_folder_before_it():
    row = "| how | `services/gpu-runner/core`: `fit`, `standby`; then `flows/loading`; `libs/journal`: `port` |"
    assert {"gpu_runner/core/fit", "gpu_runner/flows/loading", "journal/port"} <= modules_of(row)
    assert not {"gpu_runner/core/port", "journal/fit", "results/core/fit"} & modules_of(row)


def leads_by_word(word: str, answer: str) -> bool:
    return any(path.endswith(answer) for path in first_hits(word))


def first_hits(word: str) -> list[str]:
    counts = Counter({path: text.casefold().count(word.casefold()) for path, text in sources().items()})
    return [path for path, count in counts.most_common(HITS) if count]


def leads_by_table(answer: str) -> bool:
    """Whether a row of the table names the module in its place: a module of that name elsewhere does not count."""
    return any(answer.removesuffix(".py") in modules_of(row) for row in table().splitlines())


def modules_of(row: str) -> set[str]:
    """Each module of a row from its service on: a name belongs to the folder or to the service named before it."""
    found, folder = set(), ""
    for name in re.findall(r"`([\w/-]+)`", row):
        top, _, inner = name.partition("/")
        if top in TOP_FOLDERS:
            folder = inner.replace("-", "_") if top in ("services", "libs", "deploy") else name
            found.add(folder)
        else:
            found |= {f"{folder}/{name}", f"{folder.split('/')[0]}/{name}"}
    return found


@lru_cache
def table() -> str:
    page = (ROOT / "docs" / "architecture.md").read_text()
    return page.partition("## Where a rule lives")[2].partition("\n## ")[0]


@lru_cache
def sources() -> dict[str, str]:
    found = (path for folder in ("libs", "services", "deploy", "cli") for path in (ROOT / folder).rglob("src/**/*.py"))
    return {str(path.relative_to(ROOT)): path.read_text() for path in found}
