"""The study of fleets asks what it says: lines that the server accepts, and as much work as a server can do."""

from __future__ import annotations

import pytest

from benchmarks.fleet_study.runs import MODEL, TOKENS_MAX, TOKENS_MIN, lines_of, varied
from benchmarks.fleet_study.windows import CASES, MEAN_SECONDS, Case
from vbatch.contracts.endpoints import CHAT_COMPLETIONS
from vbatch.contracts.ids import ModelId
from vbatch.gpu_runner.simulated.answers import reply
from vbatch.gpu_runner.simulated.options import parse
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.planning.validation import FileCheck, FileRules

COUNT = 370


def test_every_line_is_accepted():
    check = FileCheck(FileRules(CHAT_COMPLETIONS, {ModelId(MODEL): (CHAT_COMPLETIONS,)}))
    check.feed(lines_of(varied(COUNT)))
    planned = check.result(lambda refs: [])
    assert isinstance(planned, Plan) and len(planned.order) == COUNT


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_server_is_busy_for_as_long_as_the_case_says(case: Case):
    options = parse(["--model", MODEL, *case.options])
    replies = [reply(CHAT_COMPLETIONS, body, options)[0] for body in varied(COUNT)]
    assert {answer.status for answer in replies} == {200}
    assert min(answer.tokens for answer in replies) == TOKENS_MIN
    assert max(answer.tokens for answer in replies) == TOKENS_MAX
    assert sum(answer.seconds for answer in replies) / COUNT == pytest.approx(MEAN_SECONDS, rel=0.02)


def test_a_server_that_grows_gets_the_work_of_both_sizes():
    grows = Case("", 64, (), later=192, change_seconds=20)
    assert grows.requests(60.0) == int((64 * 20 + 192 * 40) / MEAN_SECONDS)
    assert grows.requests(10.0) == int(64 * 10 / MEAN_SECONDS)
