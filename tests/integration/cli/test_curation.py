"""`vbatch judge` and `vbatch dataset` on a real server: from judgements to files that other programs read."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tests.integration.gateway.curated import answered_batch, told_batch
from tests.integration.gateway.stage import Stage, stage_set
from tests.integration.results.stage import Place
from tests.support.exchanges import embedding_outcome, embedding_request
from vbatch.cli.main import app
from vbatch.contracts.endpoints import EMBEDDINGS
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration

CHATS = [("What is 2 + 2?", "4"), ("What is 2 + 2?", "5"), *((f"Tell me about {name}.", name) for name in "abcdefgh")]


@pytest.fixture
async def stage(place: Place, journal: Journal) -> AsyncIterator[Stage]:
    async with stage_set(place, journal) as stage:
        yield stage


async def vbatch(stage: Stage, *arguments: str) -> tuple[int, str, str]:
    """The exit code of the command, run in a thread, and what it wrote to stdout and stderr.

    The server of the same process logs to the same stdout, on lines that begin with a time.
    """
    told = {"VBATCH_URL": stage.origin, "VBATCH_JUDGE": "anna"}
    done = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=told)
    said = [line for line in done.stdout.splitlines(keepends=True) if not re.match(r"\d{4}-\d\d-\d\d ", line)]
    return done.exit_code, "".join(said), done.stderr


async def test_answers_are_judged_on_the_command_line(stage: Stage):
    batch_id = await answered_batch(stage, 1, CHATS)
    assert (await vbatch(stage, "judge", "answer", batch_id, "1", "3-5", "--good", "--score", "4"))[2] == (
        "4 judgements recorded.\n"
    )
    code, _, err = await vbatch(stage, "judge", "pair", f"{batch_id}:1", f"{batch_id}:2", "--better", "a")
    assert (code, err.startswith("1 judgement recorded (judgement_")) == (0, True)
    code, out, _ = await vbatch(stage, "judge", "list", batch_id)
    assert out.count("good, score 4") == 4 and f"a against {batch_id}:2" in out
    assert (await vbatch(stage, "judge", "undo"))[2].endswith("is taken back.\n")
    assert "against" not in (await vbatch(stage, "judge", "list", batch_id))[1]


async def test_a_command_line_that_makes_no_sense_says_so(stage: Stage):
    batch_id = await answered_batch(stage, 1, CHATS)
    for arguments, words in (
        (("answer", batch_id, "1"), "Say something"),
        (("answer", batch_id, "one", "--good"), "names no lines"),
        (("answer", batch_id, "1", "--good", "--bad"), "one verdict"),
        (("pair", batch_id, f"{batch_id}:2", "--better", "a"), "names no answer"),
        (("undo",), "no judgement to take back"),
        (("answer", batch_id, "77", "--good"), "Line 77"),
    ):
        code, _, err = await vbatch(stage, "judge", *arguments)
        assert code != 0 and words in err, err


async def test_from_judgements_to_files(stage: Stage, tmp_path: Path):
    batch_id = await answered_batch(stage, 1, CHATS)
    lines = [{"batch_id": batch_id, "line": line, "verdict": "bad" if line == 2 else "good"} for line in range(1, 11)]
    judged = tmp_path / "judged.jsonl"
    judged.write_text("\n".join(json.dumps(line) for line in lines))
    assert (await vbatch(stage, "judge", "import", str(judged)))[2] == "10 judgements recorded.\n"

    code, out, _ = await vbatch(stage, "dataset", "create", "letters", batch_id, "--test", "0.3")
    assert (code, out) == (0, "letters:1: 10 answers (9 good, 1 bad), 1 pair; train 8, test 3.\n")
    assert "letters:1" in (await vbatch(stage, "dataset", "list"))[1]
    assert "| Answers | 10: 9 good, 1 bad, 0 of them edited |" in (await vbatch(stage, "dataset", "show", "letters"))[1]

    dpo = tmp_path / "dpo.jsonl"
    _, _, err = await vbatch(stage, "dataset", "export", "letters", "-f", "trl-dpo", "-o", str(dpo))
    assert err == f"1 line in {dpo}; 10 examples cannot be said in trl-dpo.\n"
    [pair] = [json.loads(line) for line in dpo.read_text().splitlines()]
    assert (pair["chosen"][0]["content"], pair["rejected"][0]["content"]) == ("4", "5")
    assert (pair["lineage"]["batch"], pair["lineage"]["line"]) == (batch_id, 1)

    parquet = tmp_path / "sft.parquet"
    await vbatch(stage, "dataset", "export", "letters", "-f", "trl-sft", "--as", "parquet", "-o", str(parquet))
    table = pq.read_table(parquet)
    assert (table.num_rows, table.column_names) == (9, ["prompt", "completion", "lineage"])

    folder = tmp_path / "hub"
    await vbatch(stage, "dataset", "export", "letters", "-f", "trl-kto", "--as", "hf", "-o", str(folder))
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert files == ["README.md", "data/test-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"]
    parts = [pq.read_table(folder / name) for name in files[1:]]
    assert parts[0].schema == parts[1].schema and sum(part.num_rows for part in parts) == 10
    assert (folder / "README.md").read_text().startswith("---\nconfigs:\n")
    code, _, err = await vbatch(stage, "dataset", "export", "letters", "--as", "hf", "-o", str(folder))
    assert (code, "is not empty" in err) == (2, True)

    assert (await vbatch(stage, "dataset", "delete", "letters", "--version", "1"))[2] == "letters:1 is deleted.\n"
    code, _, err = await vbatch(stage, "dataset", "show", "letters")
    assert (code, "No data set 'letters' found." in err) == (4, True)


async def handed_over(stage: Stage, *arguments: str) -> list[int]:
    """The lines that `vbatch label push` hands over, in their order; no labeler runs beside this server."""
    code, out, err = await vbatch(stage, "label", "push", *arguments, "--wait", "0", "--json")
    assert code == 0, err
    [blob] = [path for path in stage.stored_blobs() if path.name == json.loads(out)["id"]]
    return [json.loads(line)["answer"]["line"] for line in blob.read_bytes().splitlines()]


async def test_what_people_see_first_is_chosen_on_the_command_line(stage: Stage):
    batch_id = await answered_batch(stage, 1, CHATS)
    scores = {3: ("5", "1"), 4: ("4", "4"), 5: ("5", "5")}
    for line, (anna, ben) in scores.items():
        await vbatch(stage, "judge", "answer", batch_id, str(line), "--score", anna)
        await vbatch(stage, "judge", "answer", batch_id, str(line), "--score", ben, "--judge", "ben")
    embeddings = await told_batch(
        stage,
        2,
        [embedding_request(line) for line in range(1, 5)],
        [embedding_outcome(line, [1.0, float(line == 4)]) for line in range(1, 5)],
        EMBEDDINGS,
    )
    assert len(await handed_over(stage, batch_id, "--by", "model", "--sample", "4")) == 4
    assert len(await handed_over(stage, batch_id, "--by", "length", "--sample", "4")) == 4
    assert await handed_over(stage, batch_id, "--by", "disagreement") == [3]
    assert await handed_over(stage, batch_id, "--by", "margin", "--sample", "1") == [4]
    outliers = await handed_over(stage, batch_id, "--by", "outlier", "--embeddings", embeddings)
    assert (outliers[0], sorted(outliers)) == (4, [1, 2, 3, 4])


async def test_outliers_without_their_embeddings_are_refused_in_words(stage: Stage):
    batch_id = await answered_batch(stage, 1, CHATS)
    for arguments, words in (
        (("--by", "outlier"), "belong together"),
        (("--embeddings", batch_id), "belong together"),
        (("--by", "outlier", "--embeddings", batch_id), "is not a batch of /v1/embeddings"),
    ):
        code, _, err = await vbatch(stage, "label", "push", batch_id, *arguments)
        assert code != 0 and words in err, err


async def test_a_model_is_asked_to_judge_and_its_agreement_with_people_is_shown(stage: Stage, tmp_path: Path):
    batch_id = await answered_batch(stage, 1, CHATS)
    rubric = tmp_path / "rubric.md"
    rubric.write_text("A short answer is good.")
    evaluate = ("judge", "evaluate", batch_id, "--with", "plain", "--wait", "0")
    code, _, err = await vbatch(stage, *evaluate, "--rubric", str(rubric))
    assert (code, "is judging; see `vbatch judge evaluations`." in err) == (0, True)
    assert "plain@" in (await vbatch(stage, "judge", "evaluations"))[1]
    for judge in ("anna", "ben"):
        await vbatch(stage, "judge", "answer", batch_id, "1-3", "--good", "--judge", judge)
    code, out, _ = await vbatch(stage, "judge", "agreement", batch_id, "--json")
    [people] = json.loads(out)["people"]
    assert (people["judges"], people["shared_count"]) == (["anna", "ben"], 3)
    assert people["sentence"] == "Too few to tell: 3 shared, 20 are needed."
    for arguments, words in (
        (("--rubric", str(tmp_path / "none.md")), "cannot be read"),
        (("--rubric", str(rubric), "--max-tokens", "9999"), "max_tokens"),
    ):
        code, _, err = await vbatch(stage, *evaluate, *arguments)
        assert code != 0 and words in err, err
