"""Asks made from our own openapi.json, well formed and not: each answer is one the document names, none is a fault."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.gateway.processes import Stack, stack
from tests.integration.gateway.stage import CHAT, LINE
from tests.integration.results.stage import eventually
from vbatch.contracts.access import Scope
from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.api_keys import NO_KEYS
from vbatch.gateway.core.keys import KeyParams
from vbatch.gateway.core.rate_limits import Limited
from vbatch.gateway.flows.bootstrap import init_keys

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:schemathesis"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:jsonschema"),
]

FUZZ_SECONDS_MAX = 30.0
ASK_SECONDS_MAX = 10.0
EXAMPLES_OF_EACH = 30
CHECKED = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
UNENDING = "/events"
ENDLESS = "/v1/events/live"
"""A stream that answers 200 to nearly everything and never ends; `test_lines.py` reads it."""
FORETOLD = ("/queue", "/why", "/what-if", "/check")
"""What only a scheduler could answer, and none runs here: these are rightly 503."""


PINNED = {f"VBATCH_GATEWAY_{limited.name}_PER_MINUTE_MAX": "0" for limited in Limited}
"""Or an ask could limit all that follow."""


async def test_no_ask_made_from_the_description_finds_a_fault(tmp_path: Path):
    async with stack(tmp_path, **PINNED) as up:
        key = await admin_key(up)
        ids = await existing_ids(up, key)
        answered, faults = await asyncio.to_thread(fuzz, up.origin, ids, key)
        log = up.log_text("gateway")

    assert not faults, "\n\n".join(f"{kind}: {fault}" for kind, fault in faults.items())
    assert answered > 50
    assert "request_failed" not in log and "Traceback" not in log


async def admin_key(up: Stack) -> dict[str, str]:
    """The header of a key that may do everything, also when asks have made others."""
    ask = KeyParams(OwnerId("root"), "fuzz", (Scope.ADMIN,))
    begun = await init_keys(up.journal.log, NO_KEYS, ask, now=datetime.now(UTC), entropy=bytes(32))
    key = {"Authorization": f"Bearer {begun.made.text}"}

    async def is_known() -> bool:
        return (await up.ask("GET", "/v1/me", headers=key)).status == 200

    await eventually(is_known)
    return key


def fuzz(origin: str, ids: dict[str, str], key: dict[str, str]) -> tuple[int, dict[str, str]]:
    """How many asks were answered, and the first fault of each kind. Every operation gets its share of the time."""
    faults: dict[str, str] = {}
    schema: Any = schemathesis.openapi.from_url(f"{origin}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations() if found.ok().path != ENDLESS]
    until, answered = time.monotonic() + FUZZ_SECONDS_MAX, 0
    with requests.Session() as session:
        session.headers.update(key)
        for place, operation in enumerate(operations):
            share = (until - time.monotonic()) / (len(operations) - place)
            answered += fuzz_one(operation, ids, session, time.monotonic() + share, faults)
    return answered, faults


def fuzz_one(
    operation: Any, ids: dict[str, str], session: requests.Session, until: float, faults: dict[str, str]
) -> int:
    answered = 0

    @settings(
        max_examples=EXAMPLES_OF_EACH,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        nonlocal answered
        mode = data.draw(st.sampled_from(list(GenerationMode)))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if not operation.path.endswith(UNENDING) and data.draw(st.booleans()):
            case.path_parameters = {name: ids.get(name, "x") for name in case.path_parameters or {}}
        (case.query or {}).pop("follow", None)
        if time.monotonic() > until:  # all is drawn by now: what is made of a seed must not depend on the clock
            return
        response = case.call(session=session, timeout=ASK_SECONDS_MAX)
        answered += 1
        try:
            is_foretold = operation.path.endswith(FORETOLD) and response.status_code == 503
            case.validate_response(response, checks=CHECKED[1:] if is_foretold else CHECKED)
        except FailureGroup as failures:
            told = "; ".join(str(failure) for failure in failures.exceptions)
            faults.setdefault(f"{operation.label} {response.status_code}", f"{told}\n{case.as_curl_command()}")

    ask()
    return answered


async def existing_ids(up: Stack, key: dict[str, str]) -> dict[str, str]:
    """Names that lead somewhere, so that not every ask ends at 404."""
    form = "--b\r\ncontent-disposition: form-data; name={}\r\n\r\n{}\r\n"
    body = form.format("purpose", "batch") + form.format('file; filename="x"', LINE.decode()) + "--b--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=b"} | key
    file_id = (await up.ask("POST", "/v1/files", data=body, headers=headers)).json["id"]
    ask = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    spare = {"owner": "ann", "name": "spare", "scopes": ["read"]}
    begin = {"bytes": 5, "filename": "x", "mime_type": "text/jsonl", "purpose": "batch"}
    return {
        "file_id": file_id,
        "batch_id": (await up.ask("POST", "/v1/batches", json=ask, headers=key)).json["id"],
        "upload_id": (await up.ask("POST", "/v1/uploads", json=begin, headers=key)).json["id"],
        "key_id": (await up.ask("POST", "/v1/admin/keys", json=spare, headers=key)).json["id"],
        "owner": "ann",
        "model_id": "plain",
    }
