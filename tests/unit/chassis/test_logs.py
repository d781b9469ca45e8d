import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider

from vbatch.chassis import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    logs.configure("pump", "info", stream)
    yield stream
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_with_its_keys(stream: io.StringIO):
    logs.get_logger().info("slice_dispatched", slice_id="s1")
    (line,) = lines(stream)
    assert (line["event"], line["slice_id"], line["service"], line["level"]) == (
        "slice_dispatched", "s1", "pump", "info"
    )  # fmt: skip
    assert str(line["time"]).endswith("Z")


def test_a_frequent_event_is_the_same_line(stream: io.StringIO):
    with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("work"):
        for log in (logs.get_logger().info, logs.log_frequent):
            log("request_answered", route="/v1/files", ms=1.5, key=None, text="ü" * 20_000)
    usual, frequent = lines(stream)
    for line in (usual, frequent):
        assert str(line.pop("time")).endswith("Z")
    assert usual == frequent and len(str(usual["text"])) < 20_000


async def test_frequent_events_stand_in_their_order_among_others(stream: io.StringIO):
    logs.log_frequent("first")
    logs.log_frequent("second")
    logs.get_logger().warning("third")
    logs.log_frequent("fourth")
    for _ in range(100):
        if len(lines(stream)) < 4:
            await asyncio.sleep(logs.WRITE_SECONDS)
    assert [line["event"] for line in lines(stream)] == ["first", "second", "third", "fourth"]


async def test_frequent_events_are_written_before_the_process_ends(stream: io.StringIO):
    logs.log_frequent("last")
    logging.getLogger().handlers[0].flush()
    assert [line["event"] for line in lines(stream)] == ["last"]


async def test_frequent_events_do_not_pile_up(stream: io.StringIO):
    for _ in range(logs.PENDING_LINES_MAX):
        logs.log_frequent("request_answered")
    assert len(lines(stream)) == logs.PENDING_LINES_MAX


def test_a_frequent_event_is_left_out_where_its_level_is(stream: io.StringIO):
    logging.getLogger().setLevel(logging.WARNING)
    logs.log_frequent("request_answered")
    assert lines(stream) == []


def test_bound_ids_stand_on_every_event_of_the_block_and_no_other(stream: io.StringIO):
    with logs.bind(batch_id="b1"):
        logs.get_logger().info("inside")
    logs.get_logger().info("outside")
    assert [line.get("batch_id") for line in lines(stream)] == ["b1", None]


def test_an_event_carries_the_current_span(stream: io.StringIO):
    with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("work") as span:
        logs.get_logger().info("traced")
    (line,) = lines(stream)
    assert line["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert line["span_id"] == f"{span.get_span_context().span_id:016x}"


@pytest.mark.parametrize("library", ["uvicorn.access", "aiohttp.server", "somebody.else"])
def test_what_libraries_log_takes_the_same_form(stream: io.StringIO, library: str):
    logging.getLogger(library).warning("took %d tries", 3, extra={"peer": "x"})
    (line,) = lines(stream)
    assert (line["event"], line["logger"], line["service"], line["peer"]) == (
        "took 3 tries",
        library,
        "pump",
        "x",
    )


def test_events_below_the_level_are_not_written(stream: io.StringIO):
    logs.get_logger().debug("detail")
    assert lines(stream) == []


def test_a_traceback_shows_no_local_variables(stream: io.StringIO):
    prompt = "tell me " + "a secret"
    try:
        raise RuntimeError("failed on a request")
    except RuntimeError:
        logs.get_logger().exception("request_failed", size=len(prompt))
    assert "failed on a request" in stream.getvalue()
    assert "tell me a secret" not in stream.getvalue()


def test_a_terminal_gets_a_form_for_people():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    root = logging.getLogger()
    handlers, level, stream = root.handlers, root.level, Terminal()
    logs.configure("pump", "info", stream)
    logs.get_logger().info("started")
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()
    assert "started" in stream.getvalue() and not stream.getvalue().startswith("{")
