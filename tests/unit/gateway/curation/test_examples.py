"""Judged answers become examples; what cannot be learned from is left out, and counted."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from tests.support.events import BATCH, MODEL
from tests.support.exchanges import answered, asked, request_line
from tests.unit.gateway.curation.judged import EVERYTHING, compared, said
from vbatch.contracts.curation import PairOrigin, Verdict, Vote
from vbatch.gateway.core.curation.consensus import answers_judged, pairs_compared
from vbatch.gateway.core.curation.examples import (
    Answered,
    AnswerExample,
    Examples,
    PairExample,
    answers_needed,
    examples_of,
    exchanges_of,
)
from vbatch.gateway.core.curation.judgements import AnswerKey, JudgementRecord
from vbatch.gateway.core.curation.texts import Unusable, answer_of, prompt_of, request_of, user_text

SAME = "What is 2 + 2?"
LINES = {
    1: (asked(1, SAME), answered(1, "4")),
    2: (asked(2, SAME), answered(2, "5")),
    3: (asked(3, "Say hello."), answered(3, "Hello!")),
}


def made(*records: JudgementRecord, selection=EVERYTHING, lines=LINES) -> Examples:
    judged, pairs = answers_judged(records, selection), pairs_compared(records, selection)
    needed = answers_needed(judged, pairs)
    exchanges, left_out = exchanges_of(Answered(key, *lines[key.line]) for key in needed)
    found = examples_of(judged, pairs, exchanges, selection)
    found.left_out.update(left_out)
    return found


def test_a_good_answer_is_an_example_that_knows_where_it_comes_from():
    [example] = made(said(7, 3, verdict=Verdict.GOOD, score=5.0, tags=("short",))).examples
    assert isinstance(example, AnswerExample)
    assert (example.is_good, example.is_edited, example.score, example.tags) == (True, False, 5.0, ("short",))
    assert msgspec.to_builtins(example.lineage) == {
        "batch": BATCH,
        "line": 3,
        "custom_id": "row-3",
        "model": MODEL,
        "judge": ("anna",),
        "event": (7,),
    }


def test_an_edited_answer_is_good_and_better_than_the_original():
    answer, pair = made(said(1, 3, verdict=Verdict.BAD, edited="Hello, Ada!")).examples
    assert isinstance(answer, AnswerExample) and isinstance(pair, PairExample)
    assert (answer.answer.content, answer.is_good, answer.is_edited) == ("Hello, Ada!", True, True)
    assert (pair.chosen.content, pair.rejected.content, pair.origin) == ("Hello, Ada!", "Hello!", PairOrigin.EDIT)


def test_an_edit_that_only_changes_spaces_is_none():
    found = made(said(1, 3, verdict=Verdict.GOOD, edited=" Hello! \n"))
    assert [example.is_edited for example in found.examples if isinstance(example, AnswerExample)] == [False]


def test_a_vote_makes_a_pair_of_two_answers_to_one_prompt():
    [pair] = made(compared(4, 2, Vote.B, 1)).examples
    assert isinstance(pair, PairExample)
    assert (pair.chosen.content, pair.rejected.content, pair.origin) == ("4", "5", PairOrigin.VOTE)
    assert (pair.lineage.line, pair.lineage.rejected_line, pair.lineage.event) == (1, 2, (4,))


def test_answers_to_different_prompts_are_no_pair():
    found = made(compared(1, 1, Vote.A, 3))
    assert (found.examples, dict(found.left_out)) == ([], {"prompts of the pair differ": 1})


def test_equal_answers_are_no_pair():
    same = LINES | {2: (asked(2, SAME), answered(2, "4"))}
    assert dict(made(compared(1, 1, Vote.A, 2), lines=same).left_out) == {"answers of the pair are the same": 1}


def test_a_tie_is_no_pair():
    assert dict(made(compared(1, 1, Vote.TIE, 2)).left_out) == {"pair is tied": 1}


def test_a_good_and_a_bad_answer_to_one_prompt_are_a_pair():
    found = made(said(1, 1, verdict=Verdict.GOOD), said(2, 2, verdict=Verdict.BAD))
    [pair] = [example for example in found.examples if isinstance(example, PairExample)]
    assert (pair.chosen.content, pair.rejected.content, pair.origin) == ("4", "5", PairOrigin.CONTRAST)


def test_pairs_are_taken_from_the_selected_origins_only():
    records = said(1, 1, verdict=Verdict.GOOD), said(2, 2, verdict=Verdict.BAD, edited="4, of course")
    found = made(*records, selection=replace(EVERYTHING, pair_origins=(PairOrigin.EDIT,)))
    assert [pair.origin for pair in found.examples if isinstance(pair, PairExample)] == [PairOrigin.EDIT]


def test_what_is_left_out_is_counted_by_reason():
    records = [
        said(1, 1, verdict=Verdict.UNSURE),
        said(2, 2, note="hm"),
        said(3, 3, verdict=Verdict.GOOD),
        said(4, 4, verdict=Verdict.GOOD),
        said(5, 5, verdict=Verdict.GOOD),
    ]
    more = {4: (asked(4, "Hi"), answered(4, "")), 5: (b"not json", answered(5, "Hi"))}
    found = made(*records, lines=LINES | more)
    assert len(found.examples) == 1
    assert dict(found.left_out) == {
        "judges are unsure": 1,
        "no verdict": 1,
        "answer is not text": 1,
        "request is not readable": 1,
    }


def test_a_selection_by_tag_and_score_leaves_the_others_out():
    records = [said(1, 1, verdict=Verdict.GOOD, tags=("math",)), said(2, 3, verdict=Verdict.GOOD, score=5.0)]
    assert len(made(*records, selection=replace(EVERYTHING, tags=("math",))).examples) == 1
    assert len(made(*records, selection=replace(EVERYTHING, score_min=4.5)).examples) == 1


def test_prompts_of_other_endpoints_are_chats_too():
    _, body = request_of(b'{"custom_id":"a","method":"POST","url":"/v1/responses","body":'
                         b'{"model":"m","instructions":"Be brief.","input":"Hi"}}')  # fmt: skip
    assert [msgspec.json.decode(message) for message in prompt_of(body)] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


def test_a_request_without_text_is_unusable():
    _, body = request_of(b'{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":[1]}}')
    with pytest.raises(Unusable):
        prompt_of(body)


def test_tool_calls_are_an_answer_and_reasoning_is_not_part_of_it():
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    message = answer_of(answered(1, None, tool_calls=calls, reasoning_content="hm"))
    assert msgspec.json.decode(msgspec.json.encode(message)) == {"role": "assistant", "tool_calls": calls}
    assert answer_of(answered(1, "Yes.", tool_calls=[], reasoning_content="hm")).tool_calls is None


def test_only_what_users_say_tells_prompts_apart():
    messages = [{"role": "system", "content": "You are kind."}, {"role": "user", "content": "Hi"}]
    _, body = request_of(request_line(1, messages))
    assert user_text(prompt_of(body)) == "Hi"
    assert AnswerKey(BATCH, 1) == answers_needed(answers_judged([said(1, 1, note="x")], EVERYTHING), [])[0]
