"""Keys from the first one on, as an operator makes them, on a stack of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.e2e.asking import chat_line, jsonl
from tests.support.secrets_search import places_that_hold, processes_that_may_dump
from tests.support.stack import CHAT, RunningStack, running_stack, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

TOLD_SECONDS_MAX = 20.0
FIRST_ANSWER = "vbatch.batch.first_answer"


def client_of(stack: RunningStack, key: str) -> OpenAI:
    return OpenAI(base_url=f"{stack.url}/v1", api_key=key, max_retries=0)


def test_an_operator_makes_keys_and_no_secret_stays_behind(tmp_path: Path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl(chat_line(number) for number in range(20)))
    with running_stack() as stack:
        assert json.loads(stack.vbatch("me", "--json").stdout)["owner"] == "local"
        begun = stack.vbatch("keys", "init")
        assert begun.returncode == 0, begun.stderr
        admin = begun.stdout.strip()
        made = stack.vbatch("keys", "create", "ann", "--scope", "user", "--api-key", admin)
        assert made.returncode == 0, made.stderr
        user = made.stdout.strip()

        assert stack.vbatch("batches").returncode == 4
        done = stack.vbatch("submit", str(path), "--wait", "--api-key", user)
        assert done.returncode == 0, done.stderr
        assert "There is an admin key already" in stack.vbatch("keys", "init").stderr

        key_id = json.loads(stack.vbatch("me", "--json", "--api-key", user).stdout)["key_id"]
        assert stack.vbatch("keys", "revoke", key_id, "--api-key", admin).returncode == 0
        with client_of(stack, user) as gone, pytest.raises(openai.AuthenticationError):
            gone.models.list()
        with client_of(stack, admin) as still:
            assert CHAT in [model.id for model in still.models.list()]

        rebuilt = stack.vbatch("rebuild", "--verify")
        assert rebuilt.returncode == 0, rebuilt.stderr
        secret_parts = [key.rpartition("_")[2] for key in (admin, user)]
        assert places_that_hold(stack, *secret_parts) == []
        kinds = {place.split()[0] for place in places_that_hold(stack, key_id)}
        assert kinds == {"event", "file"}, "the id of a key is no secret"
        assert processes_that_may_dump(stack) == []


def test_the_first_answer_and_the_end_of_a_batch_are_told_and_no_secret_lies_open(tmp_path: Path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl(chat_line(number) for number in range(20)))
    with listening() as told, running_stack(environment={"VBATCH_WEBHOOKS_ALLOW_PRIVATE": "true"}) as stack:
        with client_of(stack, "none") as client:
            types: Any = [FIRST_ANSWER, "batch.completed"]  # the client knows its own types only
            hook = client.webhooks.create(name="e2e", url=told.url, event_types=types)
        batch_id = stack.vbatch("submit", str(path), "--wait").stdout.strip()
        wait_until(lambda: told.types() == set(types), "the webhook is told", TOLD_SECONDS_MAX)
        with client_of(stack, "none") as client:
            for headers, body in told.posted:
                event: Any = client.webhooks.unwrap(body, headers, secret=hook.signing_secret)
                assert event.data.id == batch_id
            assert client.batches.retrieve(batch_id).status == "completed"
        shown = stack.vbatch("webhooks", "deliveries", hook.id)
        assert "delivered" in shown.stdout, shown.stderr
        assert "notifier" in {each["name"] for each in json.loads(stack.vbatch("status", "--json").stdout)["services"]}
        assert places_that_hold(stack, hook.signing_secret.removeprefix("whsec_")) == []


class Told(ThreadingHTTPServer):
    """Takes every POST and keeps it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.posted: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    def types(self) -> set[str]:
        return {json.loads(body)["type"] for _, body in self.posted}


class _Taker(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Told)
        self.server.posted.append((dict(self.headers.items()), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Nothing is told of it."""


@contextmanager
def listening() -> Iterator[Told]:
    with Told() as told:
        thread = Thread(target=told.serve_forever)
        thread.start()
        try:
            yield told
        finally:
            told.shutdown()
            thread.join()
