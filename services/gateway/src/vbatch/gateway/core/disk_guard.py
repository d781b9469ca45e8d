"""Whether there is space for new work. Running work may use the space that is kept free here; new work may not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vbatch.gateway.core.refusals import no_room

UNITS = ("KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Space:
    """A place that fills up: a disk or a stream. `is_for_uploads`: the bytes of uploads are stored there."""

    place: str
    free_bytes: int
    total_bytes: int
    is_for_uploads: bool = False


@dataclass(frozen=True, slots=True)
class Watermark:
    """The space that must stay free: the larger of a number of bytes and a share of the whole."""

    free_bytes_min: int
    free_share_min: float

    def kept_bytes(self, space: Space) -> int:
        return max(self.free_bytes_min, int(self.free_share_min * space.total_bytes))


def check_space(spaces: Iterable[tuple[Space, Watermark]], upload_bytes: int) -> None:
    """Raises Refusal for the first place where the new work would leave less free space than the watermark."""
    for space, watermark in spaces:
        needed = watermark.kept_bytes(space) + (upload_bytes if space.is_for_uploads else 0)
        if space.free_bytes < needed:
            raise no_room(
                f"{space.place} has {readable_bytes(space.free_bytes)} free "
                f"and new work needs {readable_bytes(needed)}."
            )


def readable_bytes(count: int) -> str:
    """Format bytes for people, with the exact figure if it is small."""
    size, unit = float(count), "bytes"
    for larger in UNITS:
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.1f} {unit}" if unit != "bytes" else f"{count} bytes"
