import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from vbatch.chassis import telemetry

pytestmark = pytest.mark.integration

REMOTE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


@dataclass
class Sink:
    """An OTLP/HTTP receiver that counts."""

    port: int = 0
    names: list[str] = field(default_factory=list)
    services: set[str] = field(default_factory=set)


@pytest.fixture
def sink() -> Iterator[Sink]:
    received = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                attributes = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
                received.services.add(attributes["service.name"])
                received.names.extend(span.name for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    received.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield received
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_span_reaches_the_collector_under_its_service(sink: Sink):
    provider = telemetry.build_provider("pump", f"http://127.0.0.1:{sink.port}/")
    for _stroke in range(5_000):
        provider.get_tracer("t").start_span("stroke").end()
    provider.shutdown()
    assert sink.names == ["stroke"] * 5_000
    assert sink.services == {"pump"}


def test_a_context_passes_through_headers_while_nothing_is_exported():
    provider = telemetry.build_provider("pump")
    headers: dict[str, str] = {}
    with provider.get_tracer("t").start_as_current_span("work", context=telemetry.extract(REMOTE)):
        telemetry.inject(headers)
    assert headers["traceparent"].split("-")[1] == "0af7651916cd43dd8448eb211c80319c"


def test_headers_without_a_context_give_none():
    context = telemetry.extract(None)
    assert not trace.get_current_span(context).get_span_context().is_valid
