"""Answered lines are filtered, sorted, searched, counted and exported, each by what the read model and the text say."""

import csv
import io
import json

import msgspec
import pytest

from tests.integration.gateway.stage import Stage
from tests.integration.results.stage import Story
from tests.support.events import MODEL, NOON, RUNNER
from vbatch.contracts import events as e
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.ids import SliceId

pytestmark = pytest.mark.integration

TEXTS = ("Tides rise.", '{"a": 1}', "Volcanoes, and tides", "=1+1", "", "Bees", "tides again", "[]")


def outcome(line: int, text: str) -> e.Outcome:
    finish = "length" if line % 3 == 0 else "stop"
    body = {"model": f"m{line % 2}", "choices": [{"finish_reason": finish, "message": {"content": text}}]}
    return e.Outcome(
        line=line,
        custom_id=f"request-{line}",
        status_code=200,
        body=msgspec.Raw(json.dumps(body).encode()),
        usage=e.Usage(input_tokens=1, output_tokens=100 - line),
        seconds=1 / line,
    )


@pytest.fixture
async def story(stage: Stage) -> Story:
    """Eight answers, told last line first, and a ninth line that timed out."""
    story = Story(1, total=9)
    failed = e.Outcome(
        line=9, custom_id="request-9", error=e.RequestError(code=RequestFault.REQUEST_TIMEOUT, message="Too slow")
    )
    outcomes = [outcome(line, text) for line, text in enumerate(TEXTS, 1)] + [failed]
    chunk = e.ChunkCompleted(
        batch_id=story.batch_id,
        slice_id=SliceId("s-1"),
        runner_id=RUNNER,
        epoch=1,
        chunk=1,
        model=MODEL,
        outcomes=tuple(outcomes[::-1]),
        at=NOON,
    )
    await stage.place.put_input(story)
    await stage.tell(*story.opening(), chunk)
    return story


async def lines(stage: Stage, story: Story, query: str) -> list[int]:
    page = (await stage.ask("GET", f"/v1/batches/{story.batch_id}/lines?{query}")).json
    return [line["line"] for line in page["data"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("finish_reason=length", [3, 6]),
        ("model=m0&finish_reason=stop", [2, 4, 8]),
        ("is_json=true", [2, 8]),
        ("is_json=false&chars_min=5&chars_max=11", [1, 7]),
        ("contains=tides", [1, 3, 7]),
        ("contains=TIDES&finish_reason=length", [3]),
        ("contains=slow", [9]),
        ("contains=request-4&search_in=requests", [4]),
        ("order=seconds&limit=2", [9, 8]),
        ("order=-output_tokens&limit=3", [1, 2, 3]),
        ("order=-text_chars&outcome=succeeded&limit=2", [3, 7]),
        ("order=-line&contains=tides", [7, 3, 1]),
    ],
)
async def test_lines_are_selected_and_sorted(stage: Stage, story: Story, query: str, expected: list[int]):
    assert await lines(stage, story, query) == expected


@pytest.mark.parametrize("order", ["line", "-line", "seconds", "-seconds", "text_chars", "-text_chars"])
async def test_pages_of_any_order_hold_each_line_once(stage: Stage, story: Story, order: str):
    seen, behind = [], 0
    while True:
        path = f"/v1/batches/{story.batch_id}/lines?order={order}&limit=2&after_line={behind}"
        page = (await stage.ask("GET", path)).json
        seen += [line["line"] for line in page["data"]]
        if not page["has_more"]:
            break
        behind = page["last_line"]
    assert sorted(seen) == list(range(1, 10)) and len(seen) == 9


async def test_a_line_says_how_its_answer_ended(stage: Stage, story: Story):
    page = (await stage.ask("GET", f"/v1/batches/{story.batch_id}/lines?custom_id=request-3")).json
    [line] = page["data"]
    assert (line["model"], line["finish_reason"], line["is_json"]) == ("m1", "length", False)
    assert line["text_chars"] == len(TEXTS[2]) and page["search"] is None


async def test_a_search_says_how_far_it_came(stage: Stage, story: Story):
    search = (await stage.ask("GET", f"/v1/batches/{story.batch_id}/lines?contains=tides&limit=1")).json["search"]
    assert search["hits"] == 3 and search["next"] is None
    assert search["searched_bytes"] == search["total_bytes"] > 0


async def test_answers_are_counted_by_what_they_have_in_common(stage: Stage, story: Story):
    facets = (await stage.ask("GET", f"/v1/batches/{story.batch_id}/facets")).json
    assert facets["finish_reasons"] == [{"value": "stop", "count": 6}, {"value": "length", "count": 2}]
    assert facets["json_count"] == 2 and sum(model["count"] for model in facets["models"]) == 8


async def test_a_selection_is_exported(stage: Stage, story: Story):
    address = f"/v1/batches/{story.batch_id}/lines/export"
    jsonl = await stage.ask("GET", f"{address}?contains=tides")
    assert [json.loads(line)["custom_id"] for line in jsonl.body.splitlines()] == [
        "request-1",
        "request-3",
        "request-7",
    ]
    table = await stage.ask("GET", f"{address}?format=csv&finish_reason=stop")
    rows = list(csv.DictReader(io.StringIO(table.body.decode())))
    assert [row["line"] for row in rows] == ["1", "2", "4", "5", "7", "8"]
    assert rows[2]["answer"] == "'=1+1" and table.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "query", ["order=name", "is_json=maybe", "contains=x&search_in=both", "search_after=x&contains=y"]
)
async def test_what_makes_no_sense_is_refused(stage: Stage, story: Story, query: str):
    assert (await stage.ask("GET", f"/v1/batches/{story.batch_id}/lines?{query}")).status == 400
