"""The database of the read model, as PostgreSQL describes it in its statistics views (PostgreSQL docs, chapter 27)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from vbatch.chassis.readings import Reading

DATABASE_QUERY = """
    SELECT pg_database_size(current_database()) AS size_bytes,
        (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS connections,
        current_setting('max_connections')::int AS connections_limit,
        (SELECT count(*) FROM pg_locks WHERE NOT granted) AS locks_waiting,
        coalesce((SELECT extract(epoch FROM max(now() - xact_start)) FROM pg_stat_activity
            WHERE datname = current_database()), 0)::float8 AS oldest_transaction_seconds,
        xact_commit AS commits, xact_rollback AS rollbacks, blks_read AS blocks_read, blks_hit AS blocks_hit, deadlocks
    FROM pg_stat_database WHERE datname = current_database()"""


@dataclass(frozen=True, slots=True)
class DatabaseReading:
    """One row of DATABASE_QUERY; counters are since the statistics were last reset."""

    size_bytes: int
    connections: int
    connections_limit: int
    locks_waiting: int
    oldest_transaction_seconds: float
    commits: int
    rollbacks: int
    blocks_read: int
    blocks_hit: int
    deadlocks: int


def postgres_reading(metrics: Callable[[], Awaitable[DatabaseReading]]) -> Reading:
    async def read() -> Iterable[Metric]:
        return list(postgres_metrics(await metrics()))

    return read


def postgres_metrics(metrics: DatabaseReading) -> Iterator[Metric]:
    yield _gauge("database_bytes", "Size of the database on its disk.", metrics.size_bytes)
    yield _gauge("connections", "Connections to the database.", metrics.connections)
    yield _gauge("connections_limit", "Connections the server takes.", metrics.connections_limit)
    yield _gauge("locks_waiting", "Locks that somebody waits for.", metrics.locks_waiting)
    oldest = metrics.oldest_transaction_seconds
    yield _gauge("oldest_transaction_seconds", "Age of the oldest open transaction.", oldest)
    transactions = CounterMetricFamily(
        "vbatch_postgres_transactions", "Transactions by how they ended.", labels=["result"]
    )
    transactions.add_metric(["committed"], metrics.commits)
    transactions.add_metric(["rolled_back"], metrics.rollbacks)
    yield transactions
    blocks = CounterMetricFamily(
        "vbatch_postgres_blocks", "Blocks asked for, by where they were found.", labels=["source"]
    )
    blocks.add_metric(["disk"], metrics.blocks_read)
    blocks.add_metric(["cache"], metrics.blocks_hit)
    yield blocks
    yield CounterMetricFamily("vbatch_postgres_deadlocks", "Deadlocks the server ended.", value=metrics.deadlocks)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"vbatch_postgres_{name}", text, value=value)
