"""Which split an example belongs to: whole groups of near-duplicates, in an order that the seed draws."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum


class Split(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def splits_of(
    groups: Sequence[int], texts: Sequence[str], *, validation_share: float, test_share: float, seed: int
) -> list[Split]:
    """Return the split of each example. `groups` names the group of each; no group is in two splits.

    Groups are drawn in the order of a hash of the seed and their first text, so that the same examples always get the
    same split. A group goes to the test split, then to validation, if it fits into what is left of the share; all
    others go to training.
    """
    sizes = Counter(groups)
    rooms = {Split.TEST: round(test_share * len(groups)), Split.VALIDATION: round(validation_share * len(groups))}
    chosen: dict[int, Split] = {}
    for group in sorted(sizes, key=lambda group: _rank(seed, texts[group], group)):
        chosen[group] = next((split for split, room in rooms.items() if sizes[group] <= room), Split.TRAIN)
        if chosen[group] in rooms:
            rooms[chosen[group]] -= sizes[group]
    return [chosen[group] for group in groups]


def _rank(seed: int, text: str, group: int) -> tuple[bytes, int]:
    return hashlib.sha256(f"{seed}|{text}".encode(errors="replace")).digest(), group
