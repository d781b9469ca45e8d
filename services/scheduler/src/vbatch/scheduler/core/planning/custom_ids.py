"""Finds the requests of a file that may share a custom_id, with eight bytes for each id.

Ids with different digests differ. Ids with equal digests may still differ, and only the lines themselves can tell.
"""

from __future__ import annotations

from array import array
from itertools import pairwise


class CustomIds:
    def __init__(self) -> None:
        self._digests = array("q")

    def add(self, custom_id: str) -> None:
        self._digests.append(hash(custom_id))  # hash() is keyed per process: a client cannot force collisions

    def doubtful(self) -> list[int]:
        """The indices, in order, of all ids whose digest occurs more than once."""
        repeated = {digest for digest, other in pairwise(sorted(self._digests)) if digest == other}
        if not repeated:
            return []
        return [index for index, digest in enumerate(self._digests) if digest in repeated]
