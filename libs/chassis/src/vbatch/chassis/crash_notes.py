"""A small file in which a service notes where it ended, and the report of what a service sets aside."""

from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter

from vbatch.chassis.files import write_atomically
from vbatch.chassis.logs import get_logger

NOTES_BYTES_MAX = 4 * 1024 * 1024


class NotesFile:
    """The file is either complete or absent. Both methods raise OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> bytes:
        if not self._path.exists():
            return b""
        with self._path.open("rb") as file:
            return file.read(NOTES_BYTES_MAX)

    def save(self, content: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self._path, content)


def tell_of_set_aside(registry: CollectorRegistry) -> Callable[[str, str, str], None]:
    """Count and log what a service sets aside to keep running. The operator finds it among the dead letters."""
    count = Counter(
        "vbatch_set_aside",
        "Messages set aside: writes the log refused for good, and what ended the service again and again.",
        ["cause"],
        registry=registry,
    )

    def tell(cause: str, place: str, reason: str) -> None:
        count.labels(cause).inc()
        get_logger().error("message_set_aside", cause=cause, place=place, reason=reason)

    return tell
