"""retry, and the answers of a family or a fan-out, against a server that answers as a gateway does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import events as samples
from tests.unit.cli.canned_gateway import CannedGateway
from vbatch.cli.exits import Exit

RETRY = f"POST /v1/batches/{samples.BATCH}/retry"


@pytest.fixture
def input_file(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text('{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{}}\n')
    return path


async def test_a_retry_prints_the_new_batch_and_where_all_answers_are(gateway: CannedGateway):
    done = await gateway.run("retry", samples.BATCH)
    assert (done.stdout, gateway.asked, gateway.bodies) == (f"{samples.BATCH}\n", [RETRY], [b"{}"])
    assert f"vbatch results {samples.BATCH} --merged" in done.stderr


async def test_a_retry_passes_on_what_is_selected(gateway: CannedGateway, tmp_path: Path):
    names = tmp_path / "ids.txt"
    names.write_text("b\n\nc\n")
    await gateway.run("retry", samples.BATCH, "--select", "failed", "--select", "expired", "--window", "2h")
    await gateway.run("retry", samples.BATCH, "--custom-id", "a", "--custom-ids", str(names))
    assert [json.loads(body) for body in gateway.bodies] == [
        {"select": ["failed", "expired"], "completion_window": "2h"},
        {"custom_ids": ["a", "b", "c"]},
    ]


async def test_a_retry_can_be_waited_for(gateway: CannedGateway):
    done = await gateway.run("retry", samples.BATCH, "--wait", "--json")
    assert done.exit_code == Exit.GOOD
    assert gateway.asked[:2] == [RETRY, f"GET /v1/batches/{samples.BATCH}/events"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("retry", samples.BATCH, "--select", "failed", "--custom-id", "a"),
        ("retry", samples.BATCH, "--custom-ids", "absent.txt"),
        ("retry", samples.BATCH, "--select", "lost"),
        ("results", samples.BATCH, "--merged", "--errors"),
        ("submit", "in.jsonl", "--models", "a,,b"),
    ],
)
async def test_what_cannot_be_asked_is_a_usage_error(
    gateway: CannedGateway, input_file: Path, arguments: tuple[str, ...]
):
    assert (await gateway.run(*arguments)).exit_code == Exit.USAGE
    assert [asked for asked in gateway.asked if not asked.startswith("POST /v1/files")] == []


async def test_merged_results_are_printed_as_they_are(gateway: CannedGateway):
    done = await gateway.run("results", samples.BATCH, "--merged")
    assert (done.stdout, gateway.asked[-1]) == ('{"custom_id":"a"}\n', f"GET /v1/batches/{samples.BATCH}/results")


async def test_a_file_is_submitted_to_several_models(gateway: CannedGateway, input_file: Path):
    gateway.batch |= {"fanout_id": "fanout_1", "model": "a"}
    done = await gateway.run("submit", str(input_file), "--models", "a, b")
    assert json.loads(gateway.bodies[1])["models"] == ["a", "b"]
    assert (done.stdout, gateway.asked[2]) == ("fanout_1\n", "GET /v1/fanouts/fanout_1")
    assert f"{samples.BATCH} runs on a" in done.stderr


async def test_a_fanout_shows_each_model_and_downloads_all_answers(gateway: CannedGateway, tmp_path: Path):
    gateway.batch |= {"fanout_id": "fanout_1", "model": "org/model"}
    shown = await gateway.run("fanout", "fanout_1")
    assert "org/model" in shown.stdout and samples.BATCH in shown.stdout
    target = tmp_path / "answers.jsonl"
    done = await gateway.run("fanout", "fanout_1", "--results", "-o", str(target))
    assert (done.exit_code, target.read_text()) == (Exit.GOOD, '{"custom_id":"a"}\n')


async def test_a_manifest_is_printed_or_written_to_a_file(gateway: CannedGateway, tmp_path: Path):
    shown = await gateway.run("manifest", samples.BATCH)
    assert (json.loads(shown.stdout), gateway.asked) == (gateway.batch, [f"GET /v1/batches/{samples.BATCH}/manifest"])
    target = tmp_path / "manifest.json"
    await gateway.run("manifest", samples.BATCH, "-o", str(target))
    assert json.loads(target.read_text()) == gateway.batch
