"""The event log's server, read from its own monitoring pages `/varz` and `/jsz` (docs.nats.io, Monitoring)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import aiohttp
import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from vbatch.chassis.readings import LabelValues, Reading

PAGE_SECONDS_MAX = 2.0
PAGE_BYTES_MAX = 4 * 1024 * 1024


class ServerPage(msgspec.Struct, frozen=True):
    """The fields of `/varz` that are exposed as metrics."""

    mem: int = 0
    connections: int = 0
    slow_consumers: int = 0
    in_bytes: int = 0
    out_bytes: int = 0


class StreamState(msgspec.Struct, frozen=True):
    messages: int = 0
    bytes: int = 0
    last_seq: int = 0


class StreamConfig(msgspec.Struct, frozen=True):
    max_bytes: int = -1


class Consumer(msgspec.Struct, frozen=True):
    name: str = ""
    num_pending: int = 0
    num_ack_pending: int = 0


class StreamDetail(msgspec.Struct, frozen=True):
    name: str
    state: StreamState = StreamState()
    config: StreamConfig = StreamConfig()
    consumer_detail: tuple[Consumer, ...] = ()


class AccountDetail(msgspec.Struct, frozen=True):
    stream_detail: tuple[StreamDetail, ...] = ()


class JetStreamPage(msgspec.Struct, frozen=True):
    """The fields of `/jsz` that are exposed as metrics."""

    account_details: tuple[AccountDetail, ...] = ()

    @property
    def streams(self) -> list[StreamDetail]:
        return [stream for account in self.account_details for stream in account.stream_detail]


def nats_reading(monitor_url: str) -> Reading:
    """`monitor_url` is the base of the server's monitoring pages."""

    async def read() -> Iterable[Metric]:
        timeout = aiohttp.ClientTimeout(total=PAGE_SECONDS_MAX)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            server = msgspec.json.decode(await _page(session, f"{monitor_url}/varz"), type=ServerPage)
            streams = await _page(session, f"{monitor_url}/jsz?streams=true&consumers=true&config=true")
        return list(nats_metrics(server, msgspec.json.decode(streams, type=JetStreamPage)))

    return read


def nats_metrics(server: ServerPage, page: JetStreamPage) -> Iterator[Metric]:
    yield GaugeMetricFamily("vbatch_nats_memory_bytes", "Resident memory of the log's server.", value=server.mem)
    yield GaugeMetricFamily("vbatch_nats_connections", "Connections to the log's server.", value=server.connections)
    text = "Connections the server closed because they did not take what it sent."
    yield CounterMetricFamily("vbatch_nats_slow_consumers", text, value=server.slow_consumers)
    yield CounterMetricFamily("vbatch_nats_received_bytes", "Bytes the server received.", value=server.in_bytes)
    yield CounterMetricFamily("vbatch_nats_sent_bytes", "Bytes the server sent.", value=server.out_bytes)
    yield from _streams(page.streams)
    yield _pending(page.streams)


def _streams(streams: list[StreamDetail]) -> Iterator[Metric]:
    messages = GaugeMetricFamily("vbatch_nats_stream_messages", "Messages a stream holds.", labels=["stream"])
    size = GaugeMetricFamily("vbatch_nats_stream_bytes", "Size of a stream, uncompressed.", labels=["stream"])
    limit = GaugeMetricFamily(
        "vbatch_nats_stream_limit_bytes", "Size at which a stream takes no more.", labels=["stream"]
    )
    for stream in streams:
        messages.add_metric([stream.name], stream.state.messages)
        size.add_metric([stream.name], stream.state.bytes)
        if stream.config.max_bytes > 0:
            limit.add_metric([stream.name], stream.config.max_bytes)
    yield from (messages, size, limit)


def _pending(streams: list[StreamDetail]) -> Metric:
    """The pending messages by reader, not by consumer: each connection of a reader creates its own consumers, under new
    names."""
    family = GaugeMetricFamily(
        "vbatch_nats_reader_pending_messages",
        "Messages of a stream that a reader has not fetched yet, of its slowest consumer.",
        labels=["stream", "reader"],
    )
    readers = LabelValues()
    slowest: dict[tuple[str, str], int] = {}
    for stream in streams:
        for consumer in stream.consumer_detail:
            key = stream.name, readers.of(reader_of(consumer.name))
            slowest[key] = max(slowest.get(key, 0), consumer.num_pending)
    for (stream_name, reader), pending in slowest.items():
        family.add_metric([stream_name, reader], pending)
    return family


def reader_of(consumer: str) -> str:
    """The reader of a consumer: `results_5f2c…` belongs to results, `gpu0-1234` to the runner gpu0."""
    for separator in "_-":
        head, found, _ = consumer.rpartition(separator)
        if found:
            return head
    return consumer


async def _page(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as answer:
        answer.raise_for_status()
        return await answer.content.read(PAGE_BYTES_MAX)
