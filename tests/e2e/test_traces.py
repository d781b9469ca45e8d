"""The trace of a batch, at a trace server and in the terminal: whole, also after kill -9."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.e2e.asking import chat_line, jsonl, submit, wait_for_end, wait_for_progress
from tests.support.stack import SLOW_CHAT, RunningStack, kill, running_stack, wait_until
from tests.support.trace_receiver import Received, receiving_traces
from vbatch.contracts.ids import BatchId
from vbatch.results.core.spans import trace_id_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SEEN_SECONDS_MAX = 60.0
REQUESTS, DISTURBED_AT = 2_000, 100
DERIVED = "vbatch"


@pytest.fixture(scope="module")
def received() -> Iterator[Received]:
    with receiving_traces() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def traced(received: Received) -> Iterator[RunningStack]:
    with running_stack(environment={"VBATCH_OTLP_ENDPOINT": received.url}) as stack:
        yield stack


def trace_of(received: Received, batch_id: str) -> dict[bytes, Span]:
    trace_id = trace_id_of(BatchId(batch_id)).to_bytes(16, "big")
    wait_until(lambda: trace_id in received.traces(DERIVED), "the trace arrives", SEEN_SECONDS_MAX)
    return received.traces(DERIVED)[trace_id]


def assert_whole(spans: dict[bytes, Span]) -> None:
    """One root, no orphan, and every span within the root's time."""
    [root] = [span for span in spans.values() if not span.parent_span_id]
    children = [span for span in spans.values() if span is not root]
    assert all(span.parent_span_id in spans for span in children)
    for span in children:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano


def test_a_batch_that_ended_is_one_whole_trace(traced: RunningStack, received: Received):
    with traced.client() as client:
        batch = wait_for_end(client, submit(client, jsonl(chat_line(number) for number in range(50))).id)
    spans = trace_of(received, batch.id)
    assert_whole(spans)
    assert {"batch", "validate", "wait for a device", "slice", "load model", "seal"} <= {
        span.name for span in spans.values()
    }


def test_a_bad_file_is_a_trace_too(traced: RunningStack, received: Received):
    with traced.client() as client:
        batch = wait_for_end(client, submit(client, jsonl([chat_line(1), chat_line(1)])).id)
    assert batch.status == "failed"
    assert_whole(trace_of(received, batch.id))


@pytest.mark.parametrize("program", ["gateway", "scheduler", "gpu-runner", "results", "nats", "postgres"])
def test_a_trace_is_whole_across_the_kill_of(traced: RunningStack, received: Received, program: str):
    traced.wait_until_ready()
    with traced.client() as client:
        batch = submit(client, jsonl(chat_line(number, SLOW_CHAT) for number in range(REQUESTS)))
        wait_for_progress(client, batch.id, DISTURBED_AT)
        kill(traced.process(program))
        assert wait_for_end(client, batch.id).status == "completed"
    spans = trace_of(received, batch.id)
    assert_whole(spans)
    slices = [span for span in spans.values() if span.name == "slice"]
    requests = [pair.value.int_value for span in slices for pair in span.attributes if pair.key == "vbatch.requests"]
    assert sum(requests) >= REQUESTS


def test_a_batch_is_linked_to_the_request_that_created_it(traced: RunningStack, received: Received):
    trace_id = secrets.token_bytes(16)
    headers = {"traceparent": f"00-{trace_id.hex()}-{secrets.token_hex(8)}-01"}
    with traced.client() as client:
        batch = submit(client.with_options(default_headers=headers), jsonl([chat_line(1)]))
        wait_for_end(client, batch.id)
    [link] = [link for span in trace_of(received, batch.id).values() for link in span.links]
    assert link.trace_id == trace_id
    wait_until(
        lambda: link.span_id in received.traces("gateway").get(trace_id, {}), "the request arrives", SEEN_SECONDS_MAX
    )


def test_the_terminal_draws_the_same_trace_from_the_log_alone(traced: RunningStack, received: Received):
    with traced.client() as client:
        batch = wait_for_end(client, submit(client, jsonl(chat_line(number) for number in range(50))).id)
    drawn = traced.vbatch("trace", batch.id)
    assert drawn.returncode == 0, drawn.stderr
    assert all(word in drawn.stdout for word in ("batch", "validate", "slice", "seal", "█"))
    documents = json.loads(traced.vbatch("trace", batch.id, "--json").stdout)
    told = {bytes.fromhex(each["span_id"]) for each in documents}
    assert told == set(trace_of(received, batch.id))


def test_a_trace_can_be_sent_again_and_is_one(traced: RunningStack, received: Received):
    with traced.client() as client:
        batch = wait_for_end(client, submit(client, jsonl([chat_line(1)])).id)
    before = set(trace_of(received, batch.id))
    sent = traced.vbatch("trace", batch.id, "--send", received.url)
    assert sent.returncode == 0, sent.stderr
    assert set(trace_of(received, batch.id)) == before


def test_requests_are_traces_of_their_own_linked_to_the_slice_that_ran_them(traced: RunningStack, received: Received):
    refused = {**chat_line(0), "body": {**chat_line(0)["body"], "simulate": {"status": 400}}}
    with traced.client() as client:
        given = [refused, *(chat_line(number) for number in range(1, 50))]
        batch = wait_for_end(client, submit(client, jsonl(given)).id)
    slices = {key for key, span in trace_of(received, batch.id).items() if span.name == "slice"}

    def requests() -> list[Span]:
        spans = [span for trace in received.traces(DERIVED).values() for span in trace.values()]
        return [span for span in spans if span.name == "request" and text_of(span, "vbatch.batch_id") == batch.id]

    wait_until(lambda: len(requests()) == 50, "each of so few requests is among the slowest", SEEN_SECONDS_MAX)
    assert {link.span_id for span in requests() for link in span.links} == slices
    [failed] = [span for span in requests() if text_of(span, "vbatch.kept_because") == "failed"]
    calls = [span for span in received.traces(DERIVED)[failed.trace_id].values() if span.name.startswith("chat ")]
    assert [text_of(call, "error.type") for call in calls] == ["400"]


def text_of(span: Span, key: str) -> str:
    return next((pair.value.string_value for pair in span.attributes if pair.key == key), "")


def test_requests_of_a_past_batch_can_be_sent_too(traced: RunningStack):
    with traced.client() as client:
        batch = wait_for_end(client, submit(client, jsonl([chat_line(1)])).id)
    with receiving_traces() as other:
        sent = traced.vbatch("trace", batch.id, "--send", other.url, "--requests", "1")
        assert sent.returncode == 0, sent.stderr
        names = [span.name for trace in other.traces(DERIVED).values() for span in trace.values()]
    assert names.count("request") == 1 and names.count("batch") == 1


def test_requests_without_a_server_to_send_them_to_are_refused(traced: RunningStack):
    asked = traced.vbatch("trace", "batch_1", "--requests", "1")
    assert asked.returncode == 2 and "--send" in asked.stderr


def test_a_server_that_takes_no_trace_is_named(traced: RunningStack):
    with traced.client() as client:
        batch = wait_for_end(client, submit(client, jsonl([chat_line(1)])).id)
    with receiving_traces() as deaf:
        deaf.refuses = True
        sent = traced.vbatch("trace", batch.id, "--send", deaf.url)
    assert sent.returncode == 1 and deaf.url in sent.stderr


def test_a_batch_that_is_not_there_is_said_so(traced: RunningStack):
    asked = traced.vbatch("trace", "batch_unknown")
    assert asked.returncode == 1 and "batch_unknown" in asked.stderr
