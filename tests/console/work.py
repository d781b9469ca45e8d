"""Batches for the pages to show, made through the official client."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import psutil
from playwright.sync_api import Page

from tests.support.stack import RunningStack, kill, wait_until

CHAT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
END_SECONDS_MAX = 90.0
TOPICS = ("tides", "volcanoes", "how bread rises", "photosynthesis", "black holes", "vaccines", "bees", "tax law")


def chat_lines(count: int, model: str = "simulated-chat", *, extra: dict[str, object] | None = None) -> str:
    """So many questions, one a line."""
    return "".join(
        json.dumps(
            {
                "custom_id": f"question-{index:04d}",
                "method": "POST",
                "url": CHAT,
                "body": {
                    "model": model,
                    "max_tokens": 24,
                    "messages": [
                        {"role": "system", "content": "Answer in one short paragraph."},
                        {"role": "user", "content": f"Explain {TOPICS[index % len(TOPICS)]} in {index + 20} words."},
                    ],
                }
                | (extra or {}),
            }
        )
        + "\n"
        for index in range(1, count + 1)
    )


def with_failures(count: int) -> str:
    """So many questions, of which every fourth fails."""
    good, bad = chat_lines(count).splitlines(), chat_lines(count, extra={"simulate": {"status": 400}}).splitlines()
    return "".join(f"{bad[index] if index % 4 == 3 else good[index]}\n" for index in range(count))


@dataclass(frozen=True)
class Console:
    stack: RunningStack

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.stack.settings.console_port}"

    def submit(self, lines: str, *, name: str, filename: str = "questions.jsonl") -> str:
        with self.stack.client() as client:
            stored = client.files.create(file=(filename, lines.encode()), purpose="batch")
            batch = client.batches.create(
                input_file_id=stored.id, endpoint=CHAT, completion_window="24h", metadata={"name": name}
            )
            return batch.id

    def run(self, lines: str, *, name: str, filename: str = "questions.jsonl") -> str:
        batch_id = self.submit(lines, name=name, filename=filename)
        self.wait_for(batch_id, "completed", "failed")
        return batch_id

    def status(self, batch_id: str) -> str:
        with self.stack.client() as client:
            return client.batches.retrieve(batch_id).status

    def wait_for(self, batch_id: str, *statuses: str) -> None:
        wait_until(lambda: self.status(batch_id) in statuses, f"{batch_id} is one of {statuses}", END_SECONDS_MAX)

    def cancel(self, batch_id: str) -> None:
        with self.stack.client() as client:
            client.batches.cancel(batch_id)
        self.wait_for(batch_id, "cancelled", "completed")

    def kill(self, name: str) -> psutil.Process:
        process = self.stack.process(name)
        kill(process)
        return process


def is_live(page: Page) -> None:
    """Wait until the page says that it is live."""
    page.wait_for_selector('html[data-live-state="live"]')
