"""Pages of judging and of batches that belong together: what judges, models and files say is text in every one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.unit.console import samples
from vbatch.console.adapters.http.rendering import environment
from vbatch.console.core import reading_objects as reading
from vbatch.console.core.answer_parts import Shape
from vbatch.console.core.api_objects import Counts
from vbatch.console.core.conversations import Conversation, Turn
from vbatch.console.core.curation_objects import Dataset, Judgement, Statistics
from vbatch.console.core.family_objects import Fanout
from vbatch.console.core.new_dataset import FORMATS
from vbatch.console.core.playground import Prompt, Sum
from vbatch.console.core.voting import Tally
from vbatch.console.flows.pages import FanoutView, LineView
from vbatch.console.flows.playground import Answer
from vbatch.console.flows.voting import Ballot
from vbatch.contracts.curation import Verdict
from vbatch.contracts.lifecycle import BatchStatus

HOSTILE = "<script>pwned</script>\u202e"
NOW = 1_900_000_000
QUALITY = reading.Quality(60, *(reading.FlawShare(30, 0.5) for _ in range(5)))
BATCH = samples.batch(
    "batch_1",
    status=BatchStatus.COMPLETED,
    completed=9,
    failed=1,
    completed_at=NOW,
    metadata={"name": HOSTILE},
    model=HOSTILE,
    quality=QUALITY,
    pause_on={"empty": 0.4},
)
SAID = Judgement(
    "j1", 1, "batch_1", 2, HOSTILE, HOSTILE, NOW, None, None, None, Verdict.BAD, 2.0, (HOSTILE,), HOSTILE, HOSTILE
)
TALK = Conversation(
    custom_id=HOSTILE,
    turns=(Turn("user", HOSTILE),),
    answer=Turn("assistant", HOSTILE),
    is_error=False,
    request_json="{}",
    answer_json="{}",
)
ANSWERED = reading.ComparedAnswer("batch_1", True, 200, None, "stop", 3, 0.1, HOSTILE, False)
LINE = reading.ComparedLine(2, HOSTILE, HOSTILE, (ANSWERED, ANSWERED))
BALLOT = Ballot(("batch_1", "batch_2"), LINE, HOSTILE, HOSTILE, Tally(1, 2, 3), None)
DATASET = Dataset("set", 1, HOSTILE, 9, "0" * 64, NOW, Statistics())

PAGES: dict[str, dict[str, object]] = {
    "parts/judging.html": {"view": LineView(BATCH, 2, TALK, Shape.TEXT, (SAID,), HOSTILE, NOW), "trouble": HOSTILE},
    "parts/family.html": {"batch": BATCH, "family": (BATCH, samples.batch("batch_2", retry_of="batch_1"))},
    "parts/fanout.html": {
        "view": FanoutView(Fanout("fanout_1", NOW, HOSTILE, (HOSTILE,), False, Counts(10, 9, 1), (BATCH,)), NOW)
    },
    "vote.html": {
        "ballot": BALLOT,
        "names": (HOSTILE, HOSTILE),
        "said": "a",
        "last": HOSTILE,
        "last_line": 1,
    },
    "datasets.html": {"datasets": (DATASET,), "batches": (BATCH,), "formats": FORMATS, "trouble": HOSTILE},
    "playground.html": {
        "prompt": Prompt(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE),
        "models": [(SimpleNamespace(id=HOSTILE), True)],
        "answer": Answer(HOSTILE, HOSTILE, Sum("stop", 1, 2), 0.1, 0.2, HOSTILE),
        "trouble": HOSTILE,
    },
}


@pytest.mark.parametrize("template", PAGES)
def test_what_others_write_is_text(template: str):
    frame = {"path": "/", "now": NOW, "theme": "auto", "version": "1"}
    visitor = SimpleNamespace(token="token", has_session=True, is_admin=True, owner="me")
    html = environment().get_template(template).render(frame | {"visitor": visitor} | PAGES[template])
    assert "<script>pwned" not in html and "&lt;script&gt;pwned" in html


def test_a_ballot_says_no_name_before_the_vote():
    frame = {"path": "/", "now": NOW, "theme": "auto", "version": "1"}
    visitor = SimpleNamespace(token="token", has_session=True, is_admin=True, owner="me")
    shown = PAGES["vote.html"] | {"said": "", "names": ("model-a, One", "model-b, Two")}
    html = environment().get_template("vote.html").render(frame | {"visitor": visitor} | shown)
    assert "model-a" not in html and "model-b" not in html
