"""What this server has beyond OpenAI: a batch can be paused, resumed and moved in the queue, by plain posts."""

from __future__ import annotations

from tests.conformance.cases.server import SLOW, Server, requests


def a_batch_is_paused_and_goes_on(server: Server) -> None:
    batch_id = server.create(requests(2_000, model=SLOW)).id
    for verb in ("pause", "pause", "resume"):
        told = server.client.post(f"/batches/{batch_id}/{verb}", cast_to=object)
        assert told["id"] == batch_id
    assert server.ended(batch_id).status == "completed"


def a_batch_has_a_priority(server: Server) -> None:
    batch_id = server.create(requests(2_000, model=SLOW), extra_body={"priority": 20}).id
    assert server.raw("GET", f"/v1/batches/{batch_id}").json["priority"] == 20
    changed = server.client.post(f"/batches/{batch_id}", cast_to=object, body={"priority": -5})
    assert changed["priority"] == -5
    server.client.batches.cancel(batch_id)


def a_batch_says_why_it_waits_and_where(server: Server) -> None:
    batch_id = server.create(requests(200, model=SLOW)).id
    assert server.raw("GET", f"/v1/batches/{batch_id}/why").json["batch_id"] == batch_id
    assert server.raw("GET", "/v1/queue").json["object"] == "queue"
    server.client.batches.cancel(batch_id)


def a_batch_tells_what_the_services_logged_of_it(server: Server) -> None:
    batch_id = server.create(requests(20)).id
    assert server.ended(batch_id).status == "completed"
    answer = server.raw("GET", f"/v1/batches/{batch_id}/logs")
    if answer.status == 404:  # in containers, whose output Docker keeps
        assert answer.json["error"]["code"] == "logs_elsewhere"
        return
    told = answer.json
    assert told["object"] == "list" and told["has_more"] is False
    assert {"gateway", "scheduler", "gpu-runner"} <= {line["service"] for line in told["data"]}
    assert all(batch_id in str(line["details"]) for line in told["data"])
