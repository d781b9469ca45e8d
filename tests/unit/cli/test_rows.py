"""Tables on the command line: what is sent for them, and what people read when they cannot be sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import events as samples
from tests.unit.cli.canned_gateway import CannedGateway
from vbatch.cli.exits import Exit

TEMPLATE = ("--prompt", "Translate: {text}", "--model", "m")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("id,text\na,one\nb,two\n")
    return path


def lines_of(gateway: CannedGateway) -> list[dict[str, object]]:
    """The request lines inside the form that was sent."""
    return [json.loads(line) for line in gateway.bodies[0].splitlines() if line.startswith(b"{")]


async def test_each_row_of_a_table_becomes_a_request(gateway: CannedGateway, table: Path):
    options = ("--id-column", "id", "--max-tokens", "5", "--param", "temperature=0", "--param", "user=me")
    done = await gateway.run("submit", str(table), *TEMPLATE, *options)
    assert (done.exit_code, done.stdout.strip()) == (Exit.GOOD, samples.BATCH)
    assert [line["custom_id"] for line in lines_of(gateway)] == ["a", "b"]
    assert lines_of(gateway)[0]["body"] == {
        "model": "m",
        "messages": [{"role": "user", "content": "Translate: one"}],
        "max_tokens": 5,
        "temperature": 0,
        "user": "me",
    }
    assert b'filename="rows.jsonl"' in gateway.bodies[0]
    assert json.loads(gateway.bodies[1])["metadata"] == {"id_column": "id"}


async def test_the_endpoint_of_rows_can_be_another(gateway: CannedGateway, table: Path):
    await gateway.run("submit", str(table), *TEMPLATE, "--endpoint", "/v1/embeddings")
    assert lines_of(gateway)[0]["body"] == {"model": "m", "input": "Translate: one"}
    assert json.loads(gateway.bodies[1])["endpoint"] == "/v1/embeddings"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--prompt", "{body}", "--model", "m"), "The input has no column 'body'. It has: 'id', 'text'."),
        ((*TEMPLATE, "--id-column", "key"), "The input has no column 'key'. It has: 'id', 'text'."),
        (("--prompt", "{text}"), "Rows need a model: give --model."),
        (("--prompt", "{text", "--model", "m"), "The template has a lone { at character 1."),
        (("--model", "m"), "--model is for the rows of a table: give --prompt as well, or leave it out."),
        ((*TEMPLATE, "--param", "seed"), "--param takes NAME=VALUE, not 'seed'."),
        ((*TEMPLATE, "--endpoint", "/v1/score"), "A template makes requests for"),
        ((), "To send the rows of a table, give a template (--prompt)."),
    ],
)
async def test_what_cannot_be_sent_is_told_before_anything_is(
    gateway: CannedGateway, table: Path, arguments: tuple[str, ...], words: str
):
    done = await gateway.run("submit", str(table), *arguments)
    assert (done.exit_code, gateway.asked) == (Exit.USAGE, [])
    assert words in done.stderr
    assert done.stderr.startswith("vbatch: ")


async def test_the_answers_of_a_table_need_a_file(gateway: CannedGateway, table: Path):
    done = await gateway.run("results", samples.BATCH, "--join", str(table))
    assert (done.exit_code, gateway.asked) == (Exit.USAGE, [])
    assert "--join writes a file: give --output" in done.stderr


async def test_options_of_a_join_need_one(gateway: CannedGateway):
    done = await gateway.run("results", samples.BATCH, "--id-column", "id")
    assert (done.exit_code, gateway.asked) == (Exit.USAGE, [])
    assert "give --join as well" in done.stderr


async def test_errors_have_a_column_of_their_own(gateway: CannedGateway, table: Path):
    done = await gateway.run("results", samples.BATCH, "--join", str(table), "-o", "out.csv", "--errors")
    assert (done.exit_code, gateway.asked) == (Exit.USAGE, [])
    assert "--join has a column for errors" in done.stderr


async def test_a_table_with_the_answers_column_keeps_it(gateway: CannedGateway, tmp_path: Path):
    path = tmp_path / "rows.csv"
    path.write_text("id,answer\na,one\n")
    done = await gateway.run("results", samples.BATCH, "--join", str(path), "-o", str(tmp_path / "out.csv"))
    assert done.exit_code == Exit.USAGE
    assert "The input has a column 'answer' already" in done.stderr
