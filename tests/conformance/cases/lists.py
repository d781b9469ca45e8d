"""Lists in pages, as the client turns them."""

from __future__ import annotations

import openai

from tests.conformance.cases.server import Server, refused, requests

PAGE_KEYS = ["object", "data", "first_id", "last_id", "has_more"]
STEADY_KEYS = ["id", "endpoint", "input_file_id", "completion_window", "created_at", "expires_at", "metadata"]
EMPTY: dict[str, object] = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
REFUSED_LIMITS = [
    ("batches", 0, "integer_below_min_value", "below minimum value. Expected a value >= 1, but got 0"),
    ("batches", 101, "integer_above_max_value", "above maximum value. Expected a value <= 100, but got 101"),
    ("files", 0, "integer_below_min_value", "below minimum value. Expected a value >= 1, but got 0"),
    ("files", 10_001, "integer_above_max_value", "above maximum value. Expected a value <= 10000, but got 10001"),
]


def files_come_in_pages_of_any_size_and_either_order(server: Server) -> None:
    made = [server.upload(f"page {n}".encode(), "user_data").id for n in range(5)]
    mine = [file.id for file in server.client.files.list(purpose="user_data", limit=2) if file.id in made]
    assert mine == made[::-1], mine
    assert [file.id for file in server.client.files.list(limit=3, order="asc") if file.id in made] == made
    assert not [file for file in server.client.files.list(purpose="batch") if file.id in made]


def batches_come_newest_first(server: Server) -> None:
    file_id = server.upload(requests(1)).id
    made = [server.create_on(file_id).id for _ in range(3)]
    listed = []
    for batch in server.client.batches.list(limit=1):
        listed.append(batch.id)
        if batch.id == made[0]:
            break
    assert [file_id for file_id in listed if file_id in made] == made[::-1]


def a_page_tells_its_ends_and_whether_there_is_more(server: Server) -> None:
    for path in ("/v1/files", "/v1/batches"):
        page = server.raw("GET", f"{path}?limit=2").json
        assert list(page) == PAGE_KEYS
        assert [page["first_id"], page["last_id"]] == [item["id"] for item in page["data"]]
        assert page["has_more"] is True
        assert server.raw("GET", f"{path}?after=unknown").json == EMPTY
        last = server.raw("GET", f"{path}?after={page['data'][0]['id']}&limit=1").json
        assert [_steady(item) for item in last["data"]] == [_steady(item) for item in page["data"][1:]]


def a_limit_outside_its_bounds_is_refused(server: Server) -> None:
    for what, limit, code, words in REFUSED_LIMITS:
        message = f"Invalid 'limit': integer {words} instead."
        with refused(openai.BadRequestError, param="limit", code=code, message=message):
            getattr(server.client, what).list(limit=limit)
    for query in ("limit=x", "limit=", "limit=1.5"):
        assert server.raw("GET", f"/v1/batches?{query}").json["error"]["code"] == "invalid_type"
    with refused(openai.BadRequestError, param="order", code="invalid_value"):
        server.client.files.list(order="up")


def filters_of_ours_narrow_a_list(server: Server) -> None:
    made = server.create(requests(1), metadata={"lists": "mine"}).id
    found = server.client.batches.list(limit=1, extra_query={"metadata": {"lists": "mine"}})
    assert [batch.id for batch in found][:1] == [made]
    assert list(server.client.batches.list(extra_query={"metadata": {"no": "such"}})) == []


async def the_async_client_pages_too(server: Server) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{server.url}/v1", api_key="none", _strict_response_validation=True
    ) as client:
        made = await client.files.create(file=("in.jsonl", requests(2)), purpose="batch")
        assert made.id in [file.id async for file in client.files.list(limit=2)]


def _steady(entry: dict[str, object]) -> dict[str, object]:
    """A file whole; of a batch what stays as it is while it runs."""
    return {name: entry[name] for name in STEADY_KEYS} if entry["object"] == "batch" else entry
