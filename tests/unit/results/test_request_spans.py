"""The traces of single requests: which are kept, what they say, and where they lead."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import structs

from tests.unit.results.test_spans import BATCH, GPU0, LLAMA, at, chunk, created, dispatched, seconds
from vbatch.contracts import events as e
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.ids import SliceId
from vbatch.results.core.request_spans import FAILED_MAX, SAMPLED_MAX, SLOWEST_MAX, RequestTraces
from vbatch.results.core.spans import BatchTrace, Kind, Span, folded

REQUESTS = 2_000


def validated(total: int = REQUESTS) -> e.BatchValidated:
    return e.BatchValidated(at=at(1), batch_id=BATCH, total=total, last_line=total, models=())


def batch_trace(total: int = REQUESTS) -> BatchTrace:
    return folded(BATCH, [created(), validated(total), dispatched("s1", 5), chunk("s1", 10)])


def answered(line: int, took: float = 1.0) -> e.Outcome:
    usage = e.Usage(input_tokens=7, output_tokens=3)
    return e.Outcome(line=line, custom_id=f"secret-{line}", status_code=200, usage=usage, seconds=took)


def failed(line: int) -> e.Outcome:
    error = e.RequestError(code=RequestFault.ENGINE_CRASHED, message="it died")
    return e.Outcome(line=line, custom_id=f"secret-{line}", error=error)


def completed(*outcomes: e.Outcome, slice_id: str = "s1") -> e.ChunkOutline:
    """The chunk as the log's reader sees it: without its answers."""
    chunk = e.ChunkCompleted(
        at=at(10),
        batch_id=BATCH,
        slice_id=SliceId(slice_id),
        runner_id=GPU0,
        epoch=7,
        chunk=1,
        model=LLAMA,
        outcomes=outcomes,
    )
    return msgspec.json.decode(msgspec.json.encode(chunk), type=e.ChunkOutline)


def requests_of(*outcomes: e.Outcome, share: float = 1e-9, total: int = REQUESTS) -> RequestTraces:
    traces = RequestTraces(batch_trace(total), share)
    traces.fold(completed(*outcomes), at(10))
    return traces


def roots(traces: RequestTraces) -> list[Span]:
    return [span for span in traces.spans() if span.parent_id is None]


def lines(traces: RequestTraces) -> list[object]:
    return [span.attributes["vbatch.line"] for span in roots(traces)]


def test_a_request_is_a_trace_of_its_own_linked_to_the_slice_that_ran_it():
    traces = requests_of(answered(3, took=2.0))
    root, call = traces.spans()
    of_slice = next(span for span in traces.trace.spans() if span.name == "slice")
    assert root.link == (of_slice.trace_id, of_slice.span_id)
    assert root.trace_id == call.trace_id != of_slice.trace_id
    assert (root.name, root.kind, seconds(root)) == ("request", Kind.CONSUMER, (5, 10))
    assert (call.name, call.kind, seconds(call)) == ("chat llama", Kind.CLIENT, (8, 10))
    assert call.parent_id == root.span_id


def test_the_call_of_the_engine_says_model_tokens_and_status():
    _, call = requests_of(answered(3)).spans()
    assert call.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "llama",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "http.response.status_code": 200,
    }


def test_no_answer_stays_in_memory():
    answer = msgspec.Raw(b'{"text": "' + b"x" * 10_000 + b'"}')
    traces = requests_of(*(structs.replace(answered(line), body=answer) for line in range(1, 50)))
    assert all(len(msgspec.json.encode(kept.outcome)) < 1_000 for kept in traces._slow.values())


def test_no_span_holds_what_the_client_wrote():
    assert "secret" not in repr(requests_of(answered(1), failed(2)).spans())


def test_the_slowest_and_the_failed_are_kept_whatever_the_share():
    fast = [answered(line, took=1.0) for line in range(1, 1_000)]
    slow = [answered(line, took=9.0) for line in range(1_000, 1_000 + SLOWEST_MAX)]
    traces = requests_of(*fast, *slow, failed(1_500))
    assert lines(traces) == [*range(1_000, 1_000 + SLOWEST_MAX), 1_500]
    why = [root.attributes["vbatch.kept_because"] for root in roots(traces)]
    assert why == ["slow"] * SLOWEST_MAX + ["failed"]


def test_a_failure_is_an_error_with_its_type():
    root, call = requests_of(failed(1)).spans()
    assert root.is_error and call.is_error
    assert call.attributes["error.type"] == "engine_crashed"


def test_a_refusal_by_the_engine_has_its_status_as_type():
    outcome = e.Outcome(line=1, custom_id="a", status_code=400)
    _, call = requests_of(outcome).spans()
    assert (call.is_error, call.attributes["error.type"]) == (True, "400")


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_a_sample_has_about_the_share_that_was_asked_for(share: float):
    fast = [answered(line, took=0.0) for line in range(1, 20_001)]
    kept = len(lines(requests_of(*fast, share=share, total=20_000))) - SLOWEST_MAX
    wanted = min(share * 20_000, SAMPLED_MAX)
    assert kept == pytest.approx(wanted, rel=0.05, abs=SLOWEST_MAX)


def test_the_same_lines_are_chosen_each_time_with_the_same_ids():
    outcomes = [answered(line) for line in range(1, REQUESTS)]
    assert requests_of(*outcomes, share=0.1).spans() == requests_of(*outcomes, share=0.1).spans()


def test_every_span_has_an_id_of_its_own():
    spans = requests_of(*(answered(line) for line in range(1, 500)), share=1.0).spans()
    assert len({span.span_id for span in spans}) == len(spans) == 2 * 499


def test_a_batch_that_fails_as_a_whole_is_bounded():
    traces = requests_of(*(failed(line) for line in range(1, REQUESTS)))
    assert len(roots(traces)) <= FAILED_MAX + SLOWEST_MAX


def test_the_first_outcome_of_a_line_counts():
    traces = requests_of(answered(1), failed(1))
    assert [root.is_error for root in roots(traces)] == [False]


def test_a_chunk_of_an_unknown_slice_tells_nothing():
    traces = RequestTraces(batch_trace(), 1.0)
    traces.fold(completed(answered(1), slice_id="never-dispatched"), at(10))
    assert traces.spans() == []
