"""The journal's settings: where the server is, who we are, and every limit. It reads no environment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
BURIAL_BYTES_MAX = 16 * KIB

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """`name` is the service: it names the connection, its inbox prefix `_INBOX_<name>` and its ephemeral consumers.

    Streams are sized by `*_bytes_max`, counted uncompressed; their sum must fit the server's max_file_store, and the
    server itself must run with `sync_interval: always` (an acknowledgement is otherwise not yet on the disk).
    """

    url: str
    name: str
    nkey_seed: str | None = field(default=None, repr=False)
    credentials_file: Path | None = None

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

    log_stream: str = "EVT"
    work_stream: str = "WORK"
    dead_stream: str = "DEAD"
    message_bytes_max: int = 2 * MIB
    log_bytes_max: int = 8 * GIB
    work_bytes_max: int = 256 * MIB
    dead_bytes_max: int = 256 * MIB
    work_age_seconds_max: float = 7 * 86_400.0
    duplicate_window_seconds: float = 1_800.0

    @property
    def dead_letter_bytes_max(self) -> int:
        """The largest message still fits when it is buried with its reason."""
        return self.message_bytes_max + BURIAL_BYTES_MAX

    def __post_init__(self) -> None:
        for token in (self.name, self.log_stream, self.work_stream, self.dead_stream):
            if not _TOKEN.fullmatch(token):
                raise ValueError(f"a service or stream name is 1 to 64 of A-Z a-z 0-9 _ -, not {token!r}")
        if self.nkey_seed and self.credentials_file:
            raise ValueError("give nkey_seed or credentials_file, not both")
        if self.tail_buffer_bytes < 4 * self.message_bytes_max:
            raise ValueError("tail_buffer_bytes must be at least 4 * message_bytes_max, or a tail could stall")
        if self.in_flight_messages_max < 1 or self.work_in_flight_max < 1 or self.work_deliveries_max < 1:
            raise ValueError("in-flight and delivery limits start at 1")
        if self.deadline_seconds >= self.duplicate_window_seconds:
            raise ValueError("duplicate_window_seconds must exceed deadline_seconds, or a retry could store twice")
