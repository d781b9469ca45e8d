"""Keys from the first one on, as an operator makes them, on a stack of its own."""

from __future__ import annotations

import json
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from tests.e2e.asking import chat_line, jsonl
from tests.support.stack import CHAT, RunningStack, running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


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
        holding = [file for file in stack.home.rglob("*") if file.is_file() and holds(file, admin, user)]
    assert holding == []


def holds(path: Path, *secrets: str) -> bool:
    content = path.read_bytes()
    return any(secret.encode() in content or secret.rpartition("_")[2].encode() in content for secret in secrets)
