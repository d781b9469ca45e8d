"""The metrics registry of one service: process metrics, build, event-loop lag, and their exposition.

A registry belongs to a service, not to the process, so that several services can live in one test.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from time import perf_counter

from prometheus_client import CollectorRegistry, Histogram, Info, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

LAG_SAMPLE_SECONDS = 0.25
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


def service_registry(service: str) -> CollectorRegistry:
    """A new registry with memory, CPU, open files, garbage collection and the build of this process."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # one unused series per counter
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    build = Info("vbatch_build", "The running service and its version.", registry=registry)
    build.info({"service": service, "version": version("vbatch-chassis")})
    return registry


@asynccontextmanager
async def loop_lag(registry: CollectorRegistry, sample_seconds: float = LAG_SAMPLE_SECONDS) -> AsyncIterator[None]:
    """While the block runs, measure how late the event loop runs a timer that is due."""
    lag = loop_lag_histogram(registry)
    async with asyncio.TaskGroup() as tasks:
        sampler = tasks.create_task(_sample(lag, sample_seconds))
        try:
            yield
        finally:
            sampler.cancel()
            with suppress(asyncio.CancelledError):
                await sampler


def loop_lag_histogram(registry: CollectorRegistry) -> Histogram:
    text = "Lateness of a due timer: how long the service's event loop was held up."
    return Histogram("vbatch_loop_lag_seconds", text, buckets=LAG_BUCKETS, registry=registry)


def exposition(registry: CollectorRegistry, accept: str | None) -> tuple[bytes, str]:
    """Return the body and content type of `/metrics`: OpenMetrics (with exemplars) if the scraper accepts it."""
    encode, content_type = choose_encoder(accept or "")
    return encode(registry), content_type


async def _sample(lag: Histogram, sample_seconds: float) -> None:
    while True:
        due = perf_counter() + sample_seconds
        await asyncio.sleep(sample_seconds)
        lag.observe(max(0.0, perf_counter() - due))
