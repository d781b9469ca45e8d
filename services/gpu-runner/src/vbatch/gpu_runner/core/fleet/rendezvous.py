"""Which replica computes a shared prefix: by rendezvous hashing (Thaler and Ravishankar, 1998), so that every process
agrees, and a replica that comes or goes moves no more groups than its own share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

CACHED_MAX = 8_192


def ranked(group: int, names: Sequence[str]) -> tuple[str, ...]:
    """Return the replicas by preference for this group, the favourite first."""
    return _ranked(group, tuple(names))


@lru_cache(maxsize=CACHED_MAX)
def _ranked(group: int, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: _weight(group, name), reverse=True))


def _weight(group: int, name: str) -> bytes:
    return blake2b(f"{group}\n{name}".encode(), digest_size=8).digest()
