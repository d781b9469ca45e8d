"""The journal's settings: the server's address, the service's name, and every limit. It reads no environment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vbatch.contracts.limits import MESSAGE_BYTES_MAX

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
BURIAL_BYTES_MAX = 16 * KIB
SIDE_STREAM_BYTES_MAX = 256 * MIB
SIDE_STREAM_BYTES_MIN = 8 * MIB
SIDE_STREAMS_SHARE = 16
"""WORK and DEAD each get this fraction of EVT, within the two bounds, so that they stay small on a small disk."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


class LogSettings(Protocol):
    """What the settings of a service say about the log."""

    @property
    def nats_url(self) -> str: ...
    @property
    def nats_nkey_seed(self) -> str | None: ...
    @property
    def nats_ca_file(self) -> Path | None: ...
    @property
    def log_folder(self) -> Path | None: ...
    @property
    def log_free_bytes_min(self) -> int: ...
    @property
    def log_bytes_max(self) -> int: ...
    @property
    def nats_replicas(self) -> int: ...


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """`url` is one server, or several servers of a cluster separated by commas.

    `name` is the service: it names the connection, its inbox prefix `_INBOX_<name>` and its ephemeral consumers.

    Streams are sized by `*_bytes_max`, counted uncompressed; their sum must fit the server's max_file_store. The server
    itself must run with `sync_interval: always`, because otherwise an acknowledged message is not yet on the disk.
    """

    url: str
    name: str
    nkey_seed: str | None = field(default=None, repr=False)
    credentials_file: Path | None = None
    ca_file: Path | None = None
    """The authority that signed the server's certificate, in PEM, if this machine does not know it; needs a URL
    `tls://`."""

    waits_for_space: bool = False
    """Retry a refused write until there is room, instead of raising Full: for single writers."""
    space_retry_seconds: float = 1.0
    store_folder: Path | None = None
    """The server's store, if this process can see its disk. Nothing is written when less than `store_free_bytes_min` is
    left."""
    store_free_bytes_min: int = 0

    connect_seconds: float = 10.0
    attempt_seconds: float = 5.0
    deadline_seconds: float = 30.0
    heartbeat_seconds: float = 2.0

    in_flight_messages_max: int = 32
    in_flight_bytes_max: int = 32 * MIB
    append_all_bytes_max: int = 64 * MIB
    tail_buffer_bytes: int = 16 * MIB

    ack_wait_seconds: float = 30.0
    work_in_flight_max: int = 2
    work_deliveries_max: int = 10
    work_orders_max: int = 256
    """The orders kept for one epoch of a runner, settled ones included: four times what a scheduler may leave
    unsettled."""

    replicas: int = 1
    """The number of servers that keep each stream: 1, or 3 of a cluster, which survives the loss of one of them."""
    log_stream: str = "EVT"
    work_stream: str = "WORK"
    dead_stream: str = "DEAD"
    message_bytes_max: int = MESSAGE_BYTES_MAX
    log_bytes_max: int = 8 * GIB
    work_bytes_max: int = SIDE_STREAM_BYTES_MAX
    dead_bytes_max: int = SIDE_STREAM_BYTES_MAX
    work_age_seconds_max: float = 7 * 86_400.0
    duplicate_window_seconds: float = 1_800.0

    @classmethod
    def of(cls, settings: LogSettings, name: str) -> JournalSettings:
        """Return the settings of the service `name`."""
        beside = side_stream_bytes(settings.log_bytes_max)
        return cls(
            url=settings.nats_url,
            name=name,
            nkey_seed=settings.nats_nkey_seed,
            ca_file=settings.nats_ca_file,
            store_folder=settings.log_folder,
            store_free_bytes_min=settings.log_free_bytes_min,
            log_bytes_max=settings.log_bytes_max,
            replicas=settings.nats_replicas,
            work_bytes_max=beside,
            dead_bytes_max=beside,
        )

    @property
    def servers(self) -> list[str]:
        return [part.strip() for part in self.url.split(",")]

    @property
    def guarded_in_flight_max(self) -> int:
        """A replicated stream refuses a guarded write while another one under the same guard is in flight."""
        return self.in_flight_messages_max if self.replicas == 1 else 1

    @property
    def dead_letter_bytes_max(self) -> int:
        """Large enough for a dead letter with the largest message and its reason."""
        return self.message_bytes_max + BURIAL_BYTES_MAX

    def __post_init__(self) -> None:
        for token in (self.name, self.log_stream, self.work_stream, self.dead_stream):
            if not _TOKEN.fullmatch(token):
                raise ValueError(f"a service or stream name is 1 to 64 of A-Z a-z 0-9 _ -, not {token!r}")
        if self.nkey_seed and self.credentials_file:
            raise ValueError("give nkey_seed or credentials_file, not both")
        if self.tail_buffer_bytes < 4 * self.message_bytes_max:
            raise ValueError("tail_buffer_bytes must be at least 4 * message_bytes_max, or a tail could stall")
        if self.replicas not in (1, 3, 5):
            raise ValueError("replicas is 1, 3 or 5: of an even number two halves could disagree")
        if self.in_flight_messages_max < 1 or self.work_in_flight_max < 1 or self.work_deliveries_max < 1:
            raise ValueError("in-flight and delivery limits start at 1")
        if self.deadline_seconds >= self.duplicate_window_seconds:
            raise ValueError("duplicate_window_seconds must exceed deadline_seconds, or a retry could store twice")


def side_stream_bytes(log_bytes_max: int) -> int:
    """Return the limit of WORK and of DEAD beside a log of this size."""
    return min(SIDE_STREAM_BYTES_MAX, max(SIDE_STREAM_BYTES_MIN, log_bytes_max // SIDE_STREAMS_SHARE))
