"""An output line is one line for every reader, and keeps the engine's answer."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, strategies as st

from tests.support.events import BATCH, OUTCOMES
from vbatch.contracts.events import Outcome
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.ids import batch_request_id
from vbatch.contracts.lines import never_ran_line, output_line, parse_request_line, single_line

TEXT = st.text(st.characters(exclude_categories=["Cs"]))  # lone surrogates are not UTF-8: no engine can send them
SEPARATORS = st.sampled_from(["\u2028", "\u2029", "\u0085", "\n", "\r\n", "\x0b", "\x1c"])
LEAVES = st.none() | st.booleans() | st.integers() | TEXT | SEPARATORS
JSON = st.recursive(LEAVES, lambda children: st.lists(children) | st.dictionaries(TEXT, children))


def test_a_success_has_a_response_and_no_error():
    line = json.loads(output_line(BATCH, OUTCOMES[0]))
    assert list(line) == ["id", "custom_id", "response", "error"]
    assert (line["id"], line["custom_id"], line["error"]) == (batch_request_id(BATCH, 1), "a", None)
    assert list(line["response"]) == ["status_code", "request_id", "body"]


def test_an_http_failure_keeps_its_response_and_has_no_error():
    line = json.loads(output_line(BATCH, OUTCOMES[1]))
    assert (line["response"]["status_code"], line["response"]["body"], line["error"]) == (
        400,
        {"error": {"message": "no"}},
        None,
    )


def test_a_failure_without_http_has_an_error_and_no_response():
    line = json.loads(output_line(BATCH, OUTCOMES[2]))
    assert line["response"] is None
    assert line["error"] == {"code": "request_timeout", "message": "This took too long."}


@pytest.mark.parametrize("fault", [RequestFault.BATCH_CANCELLED, RequestFault.BATCH_EXPIRED])
def test_a_line_that_never_ran_says_why(fault: RequestFault):
    line = json.loads(never_ran_line(BATCH, 4, "d", fault))
    assert (line["custom_id"], line["response"], line["error"]["code"]) == ("d", None, fault)


@given(answer=JSON, custom_id=TEXT | SEPARATORS)
def test_whatever_the_answer_every_way_of_splitting_text_finds_one_line(answer: object, custom_id: str):
    body = msgspec.Raw(json.dumps(answer, ensure_ascii=False, indent=1).encode())
    line = output_line(BATCH, Outcome(line=1, custom_id=custom_id, status_code=200, body=body))
    assert line.endswith(b"\n")
    assert len(line.decode().splitlines()) == 1
    assert json.loads(line)["response"]["body"] == answer


@given(JSON)
def test_making_a_document_a_single_line_does_not_change_what_it_says(document: object):
    text = json.dumps(document, ensure_ascii=False, indent=2)
    assert json.loads(single_line(text.encode())) == document


def test_a_request_line_keeps_the_bytes_of_its_body():
    raw = b'{"custom_id":"a","method":"POST","url":"/v1/x","body":{"n": 1.0,  "z":[ ]}}'
    assert bytes(parse_request_line(raw).body) == b'{"n": 1.0,  "z":[ ]}'
