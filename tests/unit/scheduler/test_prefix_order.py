"""The order of a file's requests: groups stay together, nothing is lost, and a prefix cache is the better for it."""

from __future__ import annotations

from itertools import groupby

import msgspec
import pytest
from hypothesis import given, strategies as st

from tests.support.prefix_cache import BLOCK_BYTES, hit_share, question_major
from vbatch.scheduler.core.planning.prefix_order import (
    LAST_WAVE_REQUESTS,
    OUTPUT_TOKENS_MAX,
    PREFIX_BYTES,
    PromptPrefixes,
    output_tokens_max as limit_of,
    prompt_prefix,
)
from vbatch.scheduler.core.planning.request_line import Body

PIECES = st.sampled_from(["", "a", "b" * 40, "c" * 200, "d" * 800, "e" * 3_500])
PROMPTS = st.lists(st.lists(PIECES, max_size=4).map("".join), max_size=30)
LIMITS = st.one_of(st.none(), st.integers(1, 4))
REQUESTS = st.lists(st.tuples(st.lists(PIECES, max_size=4).map("".join), LIMITS), max_size=30)


def body(**fields: object) -> Body:
    return msgspec.json.decode(msgspec.json.encode({"model": "small", **fields}), type=Body)


def bodies(prompts: list[str]) -> list[Body]:
    return [body(prompt=prompt) for prompt in prompts]


def with_limits(requests: list[tuple[str, int | None]]) -> list[Body]:
    return [body(prompt=prompt, **({} if limit is None else {"max_tokens": limit})) for prompt, limit in requests]


def order(requests: list[Body]) -> list[int]:
    openings = PromptPrefixes()
    for request in requests:
        openings.add(request)
    return openings.order()


@pytest.fixture(params=[LAST_WAVE_REQUESTS, 5, 1], ids=lambda wave: f"a last wave of {wave}")
def wave(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("vbatch.scheduler.core.planning.prefix_order.LAST_WAVE_REQUESTS", request.param)
    return int(request.param)


WAVES = pytest.mark.usefixtures("wave")


@WAVES
def test_every_request_runs_once():
    @given(REQUESTS)
    def holds(requests: list[tuple[str, int | None]]) -> None:
        assert sorted(order(with_limits(requests))) == list(range(len(requests)))

    holds()


@WAVES
def test_groups_are_whole_at_every_level():
    @given(REQUESTS)
    def holds(requests: list[tuple[str, int | None]]) -> None:
        made = with_limits(requests)
        texts = [prompt_prefix(made[index]) for index in order(made)]
        for level in PREFIX_BYTES:
            runs = [prefix for prefix, _ in groupby(text[:level] for text in texts)]
            assert len(runs) == len(set(runs))

    holds()


@WAVES
def test_an_ordered_file_keeps_its_order():
    @given(REQUESTS)
    def holds(requests: list[tuple[str, int | None]]) -> None:
        made = with_limits(requests)
        ordered = [made[index] for index in order(made)]
        assert order(ordered) == list(range(len(made)))

    holds()


@given(PROMPTS)
def test_groups_come_as_they_first_appear_and_stay_in_file_order_inside(prompts: list[str]):
    found = order(bodies(prompts))
    texts = [prompt_prefix(request) for request in bodies(prompts)]
    for level in PREFIX_BYTES:
        firsts = [next(members) for _, members in groupby(found, key=lambda index: texts[index][:level])]
        by_parent = groupby(firsts, key=lambda index: texts[index][: level // 4] if level > PREFIX_BYTES[0] else b"")
        assert all(run == sorted(run) for run in (list(members) for _, members in by_parent))


def test_requests_with_nothing_in_common_run_in_file_order():
    assert order(bodies([f"{number} something else" for number in range(2_000)])) == list(range(2_000))


def test_in_the_last_wave_the_longest_begin_first_and_no_limit_counts_as_longest():
    limits = [10, 500, None, 20]
    assert order(with_limits([(str(number), limit) for number, limit in enumerate(limits)])) == [2, 1, 3, 0]


def test_before_the_last_wave_length_changes_nothing():
    count = LAST_WAVE_REQUESTS + 100
    requests: list[tuple[str, int | None]] = [(str(number), 1 + number) for number in range(count)]
    found = order(with_limits(requests))
    assert found == [*range(100), *reversed(range(100, count))]


def test_a_group_that_the_last_wave_cuts_in_two_goes_on_first():
    count = LAST_WAVE_REQUESTS
    shared: list[tuple[str, int | None]] = [("shared " * 20, 1)] * 10
    alone: list[tuple[str, int | None]] = [(str(number), 100) for number in range(count - 5)]
    assert order(with_limits([*shared, *alone])) == list(range(count + 5))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"prompt": "hello"}, b'"hello"'),
        ({"input": ["one", "two"]}, b'["one","two"]'),
        ({"prompt": [1, 2, 3]}, b"[1,2,3]"),
        ({"messages": [{"role": "user", "content": "hi", "name": "x"}, {"content": "there"}]}, b'"user""hi""there"'),
        ({"tools": [{"type": "f"}], "messages": [{"role": "user", "content": "hi"}]}, b'[{"type":"f"}]"user""hi"'),
        ({"instructions": "be kind", "input": [{"role": "user", "content": "hi"}]}, b'"be kind""user""hi"'),
        ({"messages": 17}, b"17"),
        ({"messages": None}, b"null"),
    ],
)
def test_an_opening_is_what_the_engine_reads_first(fields: dict[str, object], text: bytes):
    assert prompt_prefix(body(**fields)) == text


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, OUTPUT_TOKENS_MAX),
        ({"max_tokens": 16}, 16),
        ({"max_tokens": None}, OUTPUT_TOKENS_MAX),
        ({"max_tokens": "many"}, OUTPUT_TOKENS_MAX),
        ({"max_tokens": -1}, OUTPUT_TOKENS_MAX),
        ({"max_tokens": 10**18}, OUTPUT_TOKENS_MAX),
        ({"max_tokens": 16, "max_completion_tokens": 8}, 8),
        ({"max_output_tokens": 4}, 4),
    ],
)
def test_how_much_a_request_may_write(fields: dict[str, object], limit: int):
    assert limit_of(body(**fields)) == limit


def test_the_order_pays_where_the_cache_holds_a_tenth_of_the_documents():
    prompts = question_major(documents=128, questions=4)
    cache_blocks = sum(len(prompt) // BLOCK_BYTES for prompt in prompts[:128]) // 10
    planned = [prompts[index] for index in order(bodies(prompts))]
    in_file_order, in_plan_order = (hit_share(map(str.encode, texts), cache_blocks) for texts in (prompts, planned))
    assert in_file_order < 0.01
    assert in_plan_order > 0.7
