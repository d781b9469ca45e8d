"""A real stack on simulated engines under a real Prometheus, with a batch of every kind and some faults behind it.

The rules are the shipped ones but for one thing: an alert waits a second where it says minutes. promtool tests its
minutes.
"""

from __future__ import annotations

import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from openai import OpenAI

from tests.e2e.asking import Line, chat_line, embedding_line, ended, jsonl, submit, wait_for_end, wait_for_progress
from tests.monitoring.prometheus import Prometheus
from tests.support.monitoring import MONITORING
from tests.support.postgres import free_port
from tests.support.stack import EMBEDDING, MODELS, OTHER_CHAT, SLOW_CHAT, RunningStack, running_stack, wait_until
from vbatch.local.supervisor import Supervisor

SCRAPE_SECONDS = 1
SEEN_SECONDS_MAX = 30.0
BROKEN = "simulated-broken"
BROKEN_MODEL = f"""
[[model]]
id = "{BROKEN}"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
max_num_seqs = 8
arguments = {{ fail-to-start = true }}
"""


@dataclass(frozen=True)
class Scene:
    stack: RunningStack
    prometheus: Prometheus
    supervisor: Supervisor


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with played(tmp_path_factory.mktemp("monitoring")) as scene:
        yield scene


@contextmanager
def played(folder: Path, story: Callable[[Scene, OpenAI], None] | None = None) -> Iterator[Scene]:
    """The stack and its Prometheus, after the story has happened; `folder` holds their files."""
    models = folder / "models.toml"
    models.write_text(MODELS + BROKEN_MODEL)
    ports = {name: str(free_port()) for name in ("PROMETHEUS", "ALERTMANAGER", "NODE_EXPORTER")}
    environment = {
        "VBATCH_LOCAL_MONITORING": "true",
        "VBATCH_WEBHOOKS_ALLOW_PRIVATE": "true",
        "VBATCH_LOCAL_SCRAPE_SECONDS": str(SCRAPE_SECONDS),
        "VBATCH_LOCAL_MONITORING_FOLDER": str(hasty_rules(folder)),
        **{f"VBATCH_LOCAL_{name}_PORT": port for name, port in ports.items()},
    }
    began = time.time()
    with running_stack(models, environment) as stack, stack.client() as client:
        urls = [f"http://127.0.0.1:{ports[name]}" for name in ("PROMETHEUS", "ALERTMANAGER")]
        scene = Scene(stack, Prometheus(urls[0], urls[1], began), Supervisor(stack.home))
        (story or play)(scene, client)
        yield scene


def hasty_rules(folder: Path) -> Path:
    """A copy of deploy/monitoring whose alerts wait a second at most."""
    copy = folder / "deploy"
    shutil.copytree(MONITORING, copy)
    alerts = copy / "prometheus" / "rules" / "alerts.yml"
    alerts.write_text(re.sub(r"\bfor: \d+m", "for: 1s", alerts.read_text()))
    return copy


def play(scene: Scene, client: OpenAI) -> None:
    """One thing after the other, so that each is seen by some scrapes."""
    tell_nobody(scene)
    assert ended(client, submit(client, jsonl(chat_line(number) for number in range(300))).id).errors == []
    ended(client, submit(client, jsonl([refused_line(1), chat_line(2)])).id)
    ended(client, submit(client, jsonl(embedding_line(number, EMBEDDING) for number in range(50)), "/v1/embeddings").id)
    ended(client, submit(client, jsonl(chat_line(number, OTHER_CHAT) for number in range(50))).id)
    assert wait_for_end(client, submit(client, jsonl([chat_line(1), chat_line(1)])).id).status == "failed"
    cancel_in_the_middle(client)
    crash_the_engine(client)
    ended(client, submit(client, jsonl(chat_line(number, BROKEN) for number in range(2))).id)
    lose_the_database(scene)
    for path in ("/v1/batches/batch_unknown", "/v1/nothing", "/health"):
        with suppress(urllib.error.HTTPError):
            urllib.request.urlopen(scene.stack.url + path, timeout=10).close()
    wait_until(lambda: is_settled(scene), "the last scrapes saw it all", SEEN_SECONDS_MAX)


def tell_nobody(scene: Scene) -> None:
    """A webhook to where nobody listens: each batch that ends is told in vain."""
    made = scene.stack.vbatch("webhooks", "create", f"http://127.0.0.1:{free_port()}/hook")
    assert made.returncode == 0, made.stderr


def refused_line(number: int) -> Line:
    line = chat_line(number)
    return {**line, "body": {**line["body"], "simulate": {"status": 400}}}


def cancel_in_the_middle(client: OpenAI) -> None:
    batch = submit(client, jsonl(chat_line(number, SLOW_CHAT) for number in range(20_000)))
    wait_for_progress(client, batch.id, 200)
    time.sleep(3 * SCRAPE_SECONDS)  # a batch that runs is to be seen by some scrapes
    client.batches.cancel(batch.id)
    assert wait_for_end(client, batch.id).status == "cancelled"


def crash_the_engine(client: OpenAI) -> None:
    killer = chat_line(0)
    killer = {**killer, "body": {**killer["body"], "simulate": {"crash": True}}}
    found = ended(client, submit(client, jsonl([killer, *(chat_line(number) for number in range(1, 10))])).id)
    assert found.failed_ids == ["request-0"]


def lose_the_database(scene: Scene, seconds: float = 3 * SCRAPE_SECONDS) -> None:
    scene.supervisor.stop_program("postgres")
    try:
        wait_until(lambda: is_unavailable(scene.stack), "reads answer 503", SEEN_SECONDS_MAX)
        time.sleep(seconds)  # its errors are seen, too
        assert is_unavailable(scene.stack)
    finally:
        scene.supervisor.start_program("postgres")
    scene.stack.wait_until_ready()


def is_unavailable(stack: RunningStack) -> bool:
    try:
        urllib.request.urlopen(f"{stack.url}/v1/batches", timeout=10).close()
    except urllib.error.HTTPError as error:
        return error.code == 503
    return False


def is_settled(scene: Scene) -> bool:
    """Prometheus has seen the newest of what happened, twice: a rate needs two looks."""
    found = scene.prometheus.value('min(count_over_time(vbatch_http_requests_total{status="404"}[1m]))')
    return found is not None and found >= 3
