from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import events as samples
from tests.unit.cli.canned_gateway import BATCH, CannedGateway
from vbatch.cli.exits import Exit

LINE = '{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":"x"}}\n'


@pytest.fixture
def input_file(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text(LINE)
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_submit_uploads_the_file_and_names_the_batch(gateway: CannedGateway, input_file: Path):
    done = await gateway.run("submit", str(input_file))
    assert (done.exit_code, done.stdout.strip()) == (Exit.GOOD, samples.BATCH)
    assert gateway.asked == ["POST /v1/files", "POST /v1/batches"]
    assert LINE.encode() in gateway.bodies[0]


async def test_the_endpoint_is_read_from_the_first_line(gateway: CannedGateway, input_file: Path):
    await gateway.run("submit", str(input_file), "--metadata", "who=me=you")
    assert json.loads(gateway.bodies[1]) == {
        "input_file_id": samples.FILE,
        "endpoint": "/v1/embeddings",
        "completion_window": "24h",
        "metadata": {"who": "me=you"},
    }


async def test_submit_that_watches_ends_when_the_batch_does(gateway: CannedGateway, input_file: Path):
    done = await gateway.run("submit", str(input_file), "--watch")
    assert done.exit_code == Exit.GOOD
    assert "completed" in done.stdout
    assert "1 answered, 2 failed of 3" in done.stderr


async def test_watch_in_json_prints_one_state_a_line(gateway: CannedGateway):
    done = await gateway.run("watch", samples.BATCH, "--json")
    states = [json.loads(line) for line in done.stdout.splitlines()]
    assert [state["status"] for state in states][-1] == "completed"
    assert (states[-1]["completed"], states[-1]["failed"]) == (1, 2)


@pytest.mark.parametrize("command", ["models", "batches"])
async def test_json_is_the_servers_own_document(gateway: CannedGateway, command: str):
    done = await gateway.run(command, "--json")
    assert (done.exit_code, json.loads(done.stdout)["object"]) == (Exit.GOOD, "list")


async def test_a_list_in_a_narrow_pipe_keeps_its_ids_whole(gateway: CannedGateway):
    assert samples.BATCH in (await gateway.run("batches")).stdout


async def test_cancel_in_json_keeps_keys_that_are_not_known_here(gateway: CannedGateway):
    done = await gateway.run("cancel", samples.BATCH, "--json")
    assert json.loads(done.stdout) == BATCH


async def test_results_are_printed_as_they_are(gateway: CannedGateway):
    done = await gateway.run("results", samples.BATCH)
    assert done.stdout == '{"custom_id":"a"}\n'
    assert gateway.asked[-1] == "GET /v1/files/file-out/content"


async def test_results_of_a_running_batch_are_those_so_far(gateway: CannedGateway):
    gateway.batch["status"] = "in_progress"
    done = await gateway.run("results", samples.BATCH)
    assert (done.stdout, gateway.asked[-1]) == ('{"custom_id":"a"}\n', f"GET /v1/batches/{samples.BATCH}/results")


async def test_results_go_to_a_file_that_appears_whole(gateway: CannedGateway, tmp_path: Path):
    target = tmp_path / "out.jsonl"
    done = await gateway.run("results", samples.BATCH, "-o", str(target))
    assert (target.read_text(), done.stdout) == ('{"custom_id":"a"}\n', "")
    assert "1 line in" in done.stderr
    assert names_in(tmp_path) == ["out.jsonl"]


async def test_results_of_a_failed_batch_say_why_there_are_none(gateway: CannedGateway):
    gateway.batch |= {"status": "failed", "errors": {"data": [{"line": 3, "message": "Not JSON."}]}}
    done = await gateway.run("results", samples.BATCH)
    assert done.exit_code == Exit.FAILED
    assert "line 3: Not JSON. (1 fault)" in done.stderr


async def test_a_refusal_is_the_servers_words_and_an_exit_code(gateway: CannedGateway):
    gateway.refusal = (409, "Cannot cancel a batch with status 'completed'.")
    done = await gateway.run("cancel", samples.BATCH)
    assert (done.exit_code, done.stdout) == (Exit.REFUSED, "")
    assert done.stderr == "vbatch: Cannot cancel a batch with status 'completed'.\n"


async def test_a_wrong_key_says_how_to_give_the_right_one(gateway: CannedGateway):
    gateway.refusal = (401, "Incorrect API key provided.")
    done = await gateway.run("models")
    assert (done.exit_code, "--api-key" in done.stderr) == (Exit.REFUSED, True)


async def test_no_server_is_one_sentence_and_an_exit_code(gateway: CannedGateway):
    gateway.url = "http://127.0.0.1:1"
    done = await gateway.run("batches")
    assert done.exit_code == Exit.UNREACHABLE
    assert done.stderr.startswith("vbatch: No server answers at http://127.0.0.1:1. Start one with `vbatch up`")


@pytest.mark.parametrize(
    "arguments", [("submit", "absent.jsonl"), ("submit", "in.jsonl", "--metadata", "novalue"), ("results",)]
)
async def test_a_command_line_that_cannot_be_is_a_usage_error(
    gateway: CannedGateway, input_file: Path, arguments: tuple[str, ...]
):
    assert (await gateway.run(*arguments)).exit_code == Exit.USAGE
    assert gateway.asked == []


async def test_an_answer_that_is_no_batch_list_is_explained(gateway: CannedGateway):
    gateway.batch = {"id": 1}
    done = await gateway.run("batches")
    assert (done.exit_code, "is --url a vLLM Batch Server?" in done.stderr) == (Exit.FAILED, True)
