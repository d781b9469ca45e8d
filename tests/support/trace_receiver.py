"""A receiver of OTLP over HTTP, on a port of its own, that keeps the spans and log lines that it gets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

LOGS_PATH = "/v1/logs"


@dataclass
class Received:
    """Spans and lines by the `service.name` of their resource. While it `refuses`, it answers 400, which is not tried
    again."""

    url: str = ""
    refuses: bool = False
    refused_count: int = 0
    spans: dict[str, list[Span]] = field(default_factory=dict)
    lines: dict[str, list[LogRecord]] = field(default_factory=dict)

    def take_logs(self, body: bytes) -> None:
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
            names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            of_service = self.lines.setdefault(names["service.name"], [])
            of_service.extend(line for scope in resource.scope_logs for line in scope.log_records)

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            of_service = self.spans.setdefault(names["service.name"], [])
            of_service.extend(span for scope in resource.scope_spans for span in scope.spans)

    def traces(self, service: str) -> dict[bytes, dict[bytes, Span]]:
        """By trace id, then by span id: a span that came twice is one."""
        found: dict[bytes, dict[bytes, Span]] = {}
        for span in list(self.spans.get(service, ())):
            found.setdefault(span.trace_id, {})[span.span_id] = span
        return found


@contextmanager
def receiving_traces() -> Iterator[Received]:
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if received.refuses:
                received.refused_count += 1
            elif self.path.endswith(LOGS_PATH):
                received.take_logs(body)
            else:
                received.take(body)
            self.send_response(400 if received.refuses else 200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
