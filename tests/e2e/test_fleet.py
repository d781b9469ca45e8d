"""A batch whose model is served by a fleet: replicas come, die in its middle and come back, and no answer is lost."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.asking import Line, assert_each_line_once_in_order, chat_line, ended, jsonl, submit, wait_for_progress
from tests.support.fleet import Server, servers
from tests.support.stack import RunningStack, running_stack, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

MODEL = "fleet"
REQUESTS, DOCUMENTS = 3_000, 150
END_SECONDS_MAX = 120.0


def fleet_toml(made: list[Server], max_num_seqs: int) -> str:
    urls = json.dumps([server.url for server in made])
    return f'[[model]]\nid = "{MODEL}"\nengine = "http"\nbase_urls = {urls}\nmax_num_seqs = {max_num_seqs}\n'


def document_line(number: int) -> Line:
    line = chat_line(number, MODEL)
    document = number % DOCUMENTS
    line["body"]["messages"][0]["content"] = f"Document {document}: {f'{document} ' * 400}\nQuestion {number}?"
    return line


def metrics(stack: RunningStack) -> str:
    url = f"http://127.0.0.1:{stack.settings.gpu_runner_port}/metrics"
    with urllib.request.urlopen(url, timeout=5.0) as answer:
        return str(answer.read().decode())


def test_a_fleet_goes_from_one_to_four_and_to_two_in_a_batch_and_loses_nothing(tmp_path: Path):
    with servers(tmp_path, 4, "--latency-seconds", "0.2", "--max-num-seqs", "16", model=MODEL) as made:
        made[0].start()
        models = tmp_path / "models.toml"
        models.write_text(fleet_toml(made, max_num_seqs=8))
        with running_stack(models) as stack, stack.client() as client:
            given = [document_line(number) for number in range(REQUESTS)]
            batch = submit(client, jsonl(given))
            wait_for_progress(client, batch.id, 200)
            for server in made[1:]:
                server.start()
            wait_until(lambda: all(server.answered().total() for server in made), "all four work", 30.0)
            made[2].kill()
            made[3].kill()
            wait_until(lambda: metrics(stack).count("replica_up{replica=") == 4, "all four are shown", 10.0)
            said = stack.vbatch("models").stdout
            assert said.count("answers") == 2 and said.count("does not answer") == 2, said
            made[3].start()
            found = ended(client, batch.id, END_SECONDS_MAX)
            assert found.batch.status == "completed", stack.logs()
            assert found.errors == []
            assert_each_line_once_in_order(given, found)
