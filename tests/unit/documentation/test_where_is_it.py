"""A newcomer who searches for the obvious word finds the right file among the first three, or in the table
"Where a rule lives". The files are ranked by how often the word occurs in them."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

import pytest

from tests.support.paths import ROOT

HITS = 3
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


def leads_by_word(word: str, answer: str) -> bool:
    return any(path.endswith(answer) for path in first_hits(word))


def first_hits(word: str) -> list[str]:
    counts = Counter({path: text.casefold().count(word.casefold()) for path, text in sources().items()})
    return [path for path, count in counts.most_common(HITS) if count]


def leads_by_table(answer: str) -> bool:
    """Whether the table names the module: its folder in one row with its name."""
    folder, _, name = answer.removesuffix(".py").rpartition("/")
    inner = folder.split("/", 1)[1] if "/" in folder else folder
    return any(
        re.search(rf"\b{name}\b", row) and (inner in row or "`services/" not in row) for row in table().splitlines()
    )


@lru_cache
def table() -> str:
    page = (ROOT / "docs" / "architecture.md").read_text()
    return page.partition("## Where a rule lives")[2].partition("\n## ")[0]


@lru_cache
def sources() -> dict[str, str]:
    found = (path for folder in ("libs", "services", "deploy", "cli") for path in (ROOT / folder).rglob("src/**/*.py"))
    return {str(path.relative_to(ROOT)): path.read_text() for path in found}
