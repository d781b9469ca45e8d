"""The profile `labeling`: Label Studio and the labeler beside the core, with a kill in the middle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest
from openai import OpenAI

from tests.compose.containers import URL, Containers
from tests.e2e.asking import chat_line, ended, jsonl, submit
from tests.support.stack import CHAT, wait_until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

LABELING = ("labeler", "label-studio", "label-studio-db")
END_SECONDS_MAX = 180.0
PUSHED_SECONDS_MAX = 120.0
HEALTHY_SECONDS_MAX = 60.0
ASK_SECONDS_MAX = 30.0


@pytest.fixture(scope="module")
def labeling(containers: Containers) -> Iterator[Containers]:
    """Its first start takes minutes: Label Studio makes its tables."""
    containers.up("labeling")
    try:
        yield containers
    finally:
        containers.compose("--profile", "labeling", "rm", "--stop", "--force", *LABELING)


def asked(path: str, body: object = None) -> dict[str, Any]:
    content = None if body is None else json.dumps(body).encode()
    request = Request(URL + path, content, {"content-type": "application/json"})
    with urlopen(request, timeout=ASK_SECONDS_MAX) as answer:
        return dict(json.load(answer))


def test_all_of_it_is_healthy(labeling: Containers):
    assert {name: labeling.is_healthy(name) for name in LABELING} == dict.fromkeys(LABELING, True)


def test_answers_reach_label_studio_through_a_kill_of_the_labeler(labeling: Containers, client: OpenAI):
    batch = ended(client, submit(client, jsonl(chat_line(number, CHAT) for number in range(20))).id, END_SECONDS_MAX)
    made = asked("/v1/labelings", {"batch_ids": [batch.batch.id]})
    labeling.kill("labeler")

    def is_pushed() -> bool:
        return bool(asked(f"/v1/labelings/{made['id']}")["status"] == "pushed")

    wait_until(is_pushed, "the labeling is pushed", PUSHED_SECONDS_MAX)
    assert tasks_in_label_studio(labeling) == 20
    wait_until(lambda: labeling.is_healthy("labeler"), "the labeler is healthy again", HEALTHY_SECONDS_MAX)


def tasks_in_label_studio(labeling: Containers) -> int:
    """As the labeler sees them, with its own token; Label Studio's port is published for people alone."""
    program = (
        "import json, os, urllib.request\n"
        "token = open(os.environ['VBATCH_LABELER_LABEL_STUDIO_TOKEN_FILE']).read().strip()\n"
        "url = os.environ['VBATCH_LABELER_LABEL_STUDIO_URL'] + '/api/projects/'\n"
        "request = urllib.request.Request(url, headers={'Authorization': 'Token ' + token})\n"
        "print(sum(each['task_number'] for each in json.load(urllib.request.urlopen(request))['results']))"
    )
    return int(labeling.inside("labeler", program).stdout)
