"""Log lines on their way to a server of logs: nothing is lost on a stop, nothing waits for a server that is away."""

from __future__ import annotations

import io
import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.support.trace_receiver import Received, receiving_traces
from vbatch.chassis import logs
from vbatch.chassis.otlp_logs import SEND_SECONDS_MAX, OtlpLogs

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
BATCH = "batch_1"


@contextmanager
def logging_to(endpoint: str) -> Iterator[io.StringIO]:
    """What is written; what is sent has arrived, or has not, after the block."""
    root = logging.getLogger()
    handlers, level, stream = root.handlers, root.level, io.StringIO()
    server = OtlpLogs("pump", endpoint)
    logs.configure("pump", "info", stream, also_to=server)
    try:
        yield stream
    finally:
        server.close()
        root.handlers, root.level = handlers, level
        logging.captureWarnings(False)
        structlog.reset_defaults()


@pytest.fixture
def received() -> Iterator[Received]:
    with receiving_traces() as receiver:
        yield receiver


def attributes(line: LogRecord) -> dict[str, str]:
    return {pair.key: pair.value.string_value or str(pair.value.int_value) for pair in line.attributes}


def test_a_line_arrives_with_its_ids_as_attributes(received: Received):
    with logging_to(received.url):
        logs.get_logger().warning(
            "slice_returned", batch_id=BATCH, slice_id="s1", lines=3, trace_id=TRACE, span_id=SPAN
        )
    [line] = received.lines["pump"]
    assert (line.body.string_value, line.severity_text) == ("slice_returned", "WARNING")
    assert attributes(line) == {"batch_id": BATCH, "slice_id": "s1", "lines": "3", "logger": "vbatch"}
    assert (line.trace_id.hex(), line.span_id.hex()) == (TRACE, SPAN)


def test_what_is_sent_is_also_written(received: Received):
    with logging_to(received.url) as stream:
        logs.get_logger().info("lease_taken", epoch=7)
    assert json.loads(stream.getvalue())["epoch"] == 7
    assert len(received.lines["pump"]) == 1


def test_all_that_was_logged_before_a_stop_arrives(received: Received):
    with logging_to(received.url):
        for number in range(3_000):
            logs.get_logger().info("request_answered", number=number)
    assert len(received.lines["pump"]) == 3_000


def test_a_level_that_is_not_written_is_not_sent(received: Received):
    with logging_to(received.url):
        logs.get_logger().debug("detail")
        logs.get_logger().info("told")
    assert [line.body.string_value for line in received.lines["pump"]] == ["told"]


def test_a_server_that_is_away_holds_nobody_up():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        began = time.monotonic()
        with logging_to(f"http://127.0.0.1:{nobody.getsockname()[1]}") as stream:
            for number in range(1_000):
                logs.get_logger().info("request_answered", number=number)
            said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["number"] for line in said if line["logger"] == "vbatch"] == list(range(1_000))
    assert time.monotonic() - began < 4 * SEND_SECONDS_MAX
