"""From answers to a data set: judgements, data sets in versions, labelings."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.cases.server import CHAT, JSON, Server, jsonl, request

NAME = "conformance"


def a_judgement_is_listed_and_taken_back(server: Server) -> None:
    batch = server.ended(server.create(jsonl(request("a"))).id)
    made = _judged(server, batch.id, {"verdict": "bad"})
    listed = server.raw("GET", f"/v1/judgements?batch_id={batch.id}").json["data"]
    assert [each["id"] for each in listed] == [made["id"]]
    assert server.raw("POST", f"/v1/judgements/{made['id']}/withdraw").json["withdrawn"] is True
    assert server.raw("GET", f"/v1/judgements?batch_id={batch.id}").json["data"] == []


def judged_answers_become_a_data_set(server: Server) -> None:
    batch = server.ended(server.create(jsonl(request("a"))).id)
    _judged(server, batch.id, {"verdict": "good"})
    made = _asked(server, "/v1/datasets", {"name": NAME, "batch_ids": [batch.id]})
    path = f"/v1/datasets/{NAME}/versions/{made['version']}"
    assert made["id"] in {each["id"] for each in server.raw("GET", "/v1/datasets").json["data"]}
    assert server.raw("GET", path).json == made
    assert server.raw("GET", f"{path}/card").headers["content-type"].startswith("text/markdown")
    [line] = server.raw("GET", f"{path}/export").body.splitlines()
    assert json.loads(line)["lineage"]["batch"] == batch.id
    assert server.raw("DELETE", path).status == 200


def a_model_judges_answers_and_is_compared_with_people(server: Server) -> None:
    batch = server.ended(server.create(jsonl(request("a"))).id)
    _judged(server, batch.id, {"score": 4})
    asked: dict[str, object] = {"batch_ids": [batch.id], "model": CHAT, "rubric": "Is it kind?"}
    made = _asked(server, "/v1/evaluations", asked)
    assert made["id"] in {each["id"] for each in server.raw("GET", "/v1/evaluations").json["data"]}
    assert server.ended(made["judge_batch_id"]).status == "completed"
    assert server.raw("GET", f"/v1/evaluations/{made['id']}").json["id"] == made["id"]
    assert server.raw("GET", f"/v1/judgements/agreement?batch_id={batch.id}").status == 200


def answers_are_handed_to_label_studio(server: Server) -> None:
    batch = server.ended(server.create(jsonl(request("a"))).id)
    made = _asked(server, "/v1/labelings", {"batch_ids": [batch.id]})
    assert made["id"] in {each["id"] for each in server.raw("GET", "/v1/labelings").json["data"]}
    assert server.raw("GET", f"/v1/labelings/{made['id']}").json["id"] == made["id"]


def _judged(server: Server, batch_id: str, said: dict[str, object]) -> Any:
    judgement = {"batch_id": batch_id, "line": 1, **said}
    [made] = _asked(server, "/v1/judgements", {"judgements": [judgement]})["data"]
    return made


def _asked(server: Server, path: str, body: dict[str, object]) -> Any:
    answer = server.raw("POST", path, json.dumps(body).encode(), JSON)
    assert answer.status == 200, answer
    return answer.json
