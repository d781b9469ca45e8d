"""Tables become batches and come back with their answers: by the command, and from Python while things break."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas
import polars
import pyarrow
import pyarrow.parquet
import pytest

from tests.support.stack import CHAT, EMBEDDING, SLOW_CHAT, RunningStack, kill
from vbatch.client import AsyncClient, BatchStatus, Client, RequestTemplate

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ODD = 'say "hi", {not a column}\nü\u2028\x00 end'
ROWS = [{"id": f"{number:03}", "text": f"sentence {number}", "n": number} for number in range(30)] + [
    {"id": "odd", "text": ODD, "n": 30}
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ROWS[0])
        writer.writeheader()
        writer.writerows(ROWS)
    return path


def submitted(stack: RunningStack, *arguments: str) -> str:
    done = stack.vbatch("submit", *arguments, "--prompt", "Repeat: {text}", "--model", CHAT, "--wait")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_csv_comes_back_as_parquet_with_its_answers(stack: RunningStack, table: Path, tmp_path: Path):
    batch_id = submitted(stack, str(table), "--id-column", "id", "--max-tokens", "8")
    joined = stack.vbatch("results", batch_id, "--join", str(table), "-o", str(tmp_path / "out.parquet"))
    assert joined.returncode == 0, joined.stderr
    assert "31 rows in" in joined.stderr and "31 answered, 0 failed" in joined.stderr
    rows = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(row["id"], row["text"]) for row in rows] == [(row["id"], row["text"]) for row in ROWS]
    assert all(row["answer"] and row["answer_error"] is None and row["answer_output_tokens"] for row in rows)


def test_a_parquet_file_comes_back_as_csv(stack: RunningStack, tmp_path: Path):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    batch_id = submitted(stack, str(tmp_path / "rows.parquet"))
    target = tmp_path / "out.csv"
    joined = stack.vbatch("results", batch_id, "--join", str(tmp_path / "rows.parquet"), "-o", str(target), "--json")
    assert json.loads(joined.stdout) | {"path": ""} == {
        "path": "",
        "rows": 31,
        "answered": 31,
        "failed": 0,
        "missing": 0,
        "unmatched": 0,
    }
    with target.open(newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == [row["text"] for row in ROWS]


def test_rows_can_come_from_standard_input(stack: RunningStack):
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    argv = [sys.executable, "-m", "vbatch.cli", "submit", "-", "--prompt", "{text}", "--model", CHAT, "--wait"]
    environment = os.environ | dict(stack.environment)
    done = subprocess.run(argv, env=environment, input=lines, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    with Client(stack.url) as client:
        assert client.batch(done.stdout.strip()).request_counts.completed == len(ROWS)


def test_a_frame_is_submitted_watched_and_answered(stack: RunningStack):
    template = RequestTemplate(model=CHAT, prompt="Repeat: {text}", id_column="id")
    with Client(stack.url) as client:
        batch = client.submit(pandas.DataFrame(ROWS), template, metadata={"by": "test"})
        progress = list(client.watch(batch.id))[-1]
        answers = client.results(batch.id).to_polars()
        names = [event.name for event in client.events(batch.id)]
    assert (progress.status, progress.completed, progress.total) == (BatchStatus.COMPLETED, 31, 31)
    assert (names[0], names[-1]) == ("batch.created", "batch.completed")
    assert batch.metadata == {"id_column": "id", "by": "test"}
    joined = polars.DataFrame(ROWS).join(answers, left_on="id", right_on="custom_id")
    assert joined.height == 31 and joined["answer"].null_count() == 0


async def test_embeddings_come_back_as_vectors(stack: RunningStack, tmp_path: Path):
    template = RequestTemplate(model=EMBEDDING, prompt="{text}", id_column="id", endpoint="/v1/embeddings")
    async with AsyncClient(stack.url) as client:
        batch = await client.submit(polars.DataFrame(ROWS), template)
        assert (await client.wait(batch.id)).status is BatchStatus.COMPLETED
        report = await client.join(batch.id, ROWS, tmp_path / "out.parquet")
    assert report.answered == 31
    written = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert written.schema.field("answer").type == pyarrow.list_(pyarrow.float32())
    assert len(written["answer"][0].as_py()) > 1


def test_a_reader_that_follows_loses_nothing_when_the_gateway_is_killed(stack: RunningStack):
    rows = [{"id": str(number), "text": "x"} for number in range(600)]
    with Client(stack.url) as client:
        batch = client.submit(rows, RequestTemplate(model=SLOW_CHAT, prompt="{text} {id}", id_column="id"))
        answers = client.results(batch.id, follow=True)
        seen = [next(answers).custom_id]
        kill(stack.process("gateway"))
        seen += [answer.custom_id for answer in answers]
    assert sorted(seen) == sorted(row["id"] for row in rows)


def test_a_batch_that_is_cancelled_tells_each_row_why(stack: RunningStack, tmp_path: Path):
    rows = [{"id": str(number)} for number in range(3_000)]
    with Client(stack.url) as client:
        batch = client.submit(rows, RequestTemplate(model=SLOW_CHAT, prompt="{id}", id_column="id"))
        next(client.results(batch.id, follow=True))
        client.cancel(batch.id)
        assert client.wait(batch.id).status is BatchStatus.CANCELLED
        report = client.join(batch.id, rows, tmp_path / "out.jsonl")
    assert report.missing == 0 and report.answered and report.failed
    assert report.answered + report.failed == 3_000
