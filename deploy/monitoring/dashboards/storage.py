"""The log, the read model and their storage: sizes against limits, how far readers are behind, NATS and PostgreSQL."""

from __future__ import annotations

from deploy.monitoring.dashboards.model import Dashboard, Kind, Needs, Panel, Query, Row, above, quantile

READERS = Row(
    "Does everybody keep up?",
    (
        Panel(
            "For how long has the read model been behind the log?",
            "Above 30 seconds for 5 minutes raises ProjectionBehind: PostgreSQL's disk or a lock; results' log says "
            "which.",
            (Query("max(vbatch_results_lag_seconds)", "results"),),
            unit="s",
            link="api",
            steps=above((30, "red")),
        ),
        Panel(
            "How far is each reader behind?",
            "Messages a reader has not fetched, by stream. One that grows without end: that service hangs.",
            (
                Query("max by (stream, reader) (vbatch_nats_reader_pending_messages)", "{{reader}} of {{stream}}"),
                Query("max(vbatch_scheduler_lag_events)", "scheduler, of EVT, as it says"),
            ),
            unit="short",
            link="overview",
        ),
        Panel(
            "How soon can an event be read?",
            "From the log to the commit in PostgreSQL: 99 of 100 transactions sooner.",
            (
                Query(
                    quantile(0.5, "vbatch_results_delay_seconds"),
                    "p50",
                ),
                Query(
                    quantile(0.99, "vbatch_results_delay_seconds"),
                    "p99",
                ),
            ),
            unit="s",
            link="slo",
            steps=above((5, "red")),
        ),
    ),
)
SPACE = Row(
    "How much room is left?",
    (
        Panel(
            "How large is each stream, of its limit?",
            "At 80 % of EVT LogNearlyFull fires. VBATCH_LOG_BYTES_MAX raises the limit.",
            (
                Query(
                    "max by (stream) (vbatch_nats_stream_bytes) / max by (stream) (vbatch_nats_stream_limit_bytes)",
                    "{{stream}}",
                ),
            ),
            unit="percentunit",
            link="overview",
            is_share=True,
            steps=above((0.8, "orange"), (0.95, "red")),
        ),
        Panel(
            "How fast does the log grow?",
            "Bytes a second, uncompressed, of each stream.",
            (Query("sum by (stream) (deriv(vbatch_nats_stream_bytes[10m]))", "{{stream}}"),),
            unit="Bps",
            link="batch",
        ),
        Panel(
            "How much room do the disks have?",
            "Bytes free. New work is refused with 507 below the watermark; running work continues.",
            (Query("min by (place) (vbatch_storage_free_bytes)", "{{place}}"),),
            unit="bytes",
            link="overview",
        ),
        Panel(
            "Does somebody wait for room?",
            "1 while the writes of a service wait. WritersWaitForRoom fires after a minute: free the disk it names.",
            (Query("max by (job) (vbatch_log_room_waiting)", "{{job}}"),),
            unit="bool_yes_no",
            link="overview",
            kind=Kind.TIMELINE,
        ),
        Panel(
            "How many messages could nobody use?",
            "Dead letters. `vbatch dead list` shows them with their reason; they stop nothing.",
            (Query("sum(vbatch_dead_letters)", "dead letters"),),
            unit="short",
            link="batch",
            kind=Kind.NUMBER,
            steps=above((1, "orange")),
        ),
        Panel(
            "How many bytes are sealed into files?",
            "Output and error files written, in bytes a second.",
            (Query("sum(rate(vbatch_results_sealed_bytes_total[$__rate_interval]))", "sealed"),),
            unit="Bps",
            link="batch",
        ),
    ),
)
SERVERS = Row(
    "How are the servers below?",
    (
        Panel(
            "How much memory does NATS take?",
            "Resident memory of the log's server. The local stack asks it to keep to 384 MiB.",
            (Query("max(vbatch_nats_memory_bytes)", "nats-server"),),
            unit="bytes",
            link="overview",
        ),
        Panel(
            "How much goes through NATS?",
            "Bytes a second in and out, and connections it closed because they were too slow.",
            (
                Query("sum(rate(vbatch_nats_received_bytes_total[$__rate_interval]))", "in"),
                Query("sum(rate(vbatch_nats_sent_bytes_total[$__rate_interval]))", "out"),
                Query("sum(increase(vbatch_nats_slow_consumers_total[5m]))", "slow consumers in 5 m"),
            ),
            unit="Bps",
            link="overview",
        ),
        Panel(
            "How large is the database?",
            "On its disk. A request takes about 150 bytes.",
            (Query("max(vbatch_postgres_database_bytes)", "read model"),),
            unit="bytes",
            link="overview",
        ),
        Panel(
            "How busy is PostgreSQL?",
            "Transactions a second by how they ended.",
            (Query("sum by (result) (rate(vbatch_postgres_transactions_total[$__rate_interval]))", "{{result}}"),),
            unit="ops",
            link="api",
        ),
        Panel(
            "Is something stuck in PostgreSQL?",
            "Locks that are waited for, and the age of the oldest open transaction in seconds.",
            (
                Query("max(vbatch_postgres_locks_waiting)", "locks waited for"),
                Query("max(vbatch_postgres_oldest_transaction_seconds)", "oldest transaction, s"),
            ),
            unit="short",
            link="api",
            steps=above((60, "orange")),
        ),
        Panel(
            "Are PostgreSQL's connections used up?",
            "Connections of its limit.",
            (Query("max(vbatch_postgres_connections) / max(vbatch_postgres_connections_limit)", "used"),),
            unit="percentunit",
            link="api",
            is_share=True,
            steps=above((0.8, "orange")),
        ),
        Panel(
            "How long does a transaction of the projection take?",
            "From the first byte decoded to the commit: half sooner than p50, 99 of 100 sooner than p99.",
            (
                Query(
                    quantile(0.5, "vbatch_results_transaction_seconds"),
                    "p50",
                ),
                Query(
                    quantile(0.99, "vbatch_results_transaction_seconds"),
                    "p99",
                ),
            ),
            unit="s",
            link="slo",
            width=12,
        ),
        Panel(
            "How fast is the machine's disk?",
            "Share of the time in which a disk had work, by device.",
            (
                Query(
                    "max by (device) (rate(node_disk_io_time_seconds_total[$__rate_interval]))",
                    "{{device}}",
                    needs=Needs.NODE,
                ),
            ),
            unit="percentunit",
            link="overview",
            width=12,
            is_share=True,
        ),
    ),
)

STORAGE = Dashboard(
    "storage",
    "Log and storage: is anything behind or full?",
    "How far readers are, how much room is left, and how NATS and PostgreSQL are.",
    (READERS, SPACE, SERVERS),
)
