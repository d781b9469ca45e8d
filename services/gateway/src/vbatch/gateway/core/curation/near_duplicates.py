"""Groups of texts that say nearly the same, found by MinHash (A. Broder, 1997) over runs of words.

Texts whose Jaccard similarity reaches the threshold are in one group, and so are texts that are linked by others. A
beginning or an end that all texts share is a template, which does not help to tell them apart, and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rensa import RMinHash

from vbatch.gateway.core.curation.texts import folded

PERMUTATIONS = 255
ROWS_PER_BAND = 5
"""With 51 bands of 5 rows one pair of similarity 0.8 in 600 million shares no band, and one of 0.7 in 12,000."""
TOLERANCE = 0.1
"""Four standard errors of an estimate from 255 permutations: pairs this close below the threshold are joined, too."""
BAND_TEXTS_MAX = 200
"""More texts than this in one band are joined without a comparison, which keeps the time linear."""
SHINGLE_WORDS = 3
SHINGLES_MAX = 4_096
"""Of a longer text, only this many first shingles are used."""
HASH_SEED = 42
_WORDS = re.compile(r"\w+|[^\w\s]")


def groups_of(texts: Sequence[str], threshold: float) -> list[int]:
    """Return for each text the place of the first text of its group."""
    plain = _without_template([folded(text).casefold() for text in texts])
    groups = _Groups(len(plain))
    firsts: dict[str, int] = {}
    for place, text in enumerate(plain):
        groups.join(firsts.setdefault(text, place), place)
    _join_similar(groups, firsts, threshold - TOLERANCE)
    return [groups.first_of(place) for place in range(len(plain))]


def shingles(text: str) -> list[str]:
    """Return the runs of three words; the words themselves if there are fewer."""
    words = _WORDS.findall(text)[: SHINGLES_MAX + SHINGLE_WORDS]
    if len(words) < SHINGLE_WORDS:
        return words or [""]
    return [" ".join(words[start : start + SHINGLE_WORDS]) for start in range(len(words) - SHINGLE_WORDS + 1)]


class _Groups:
    """Disjoint sets of places, each named by its first place."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.first_of(one), self.first_of(other)))
        self._parents[second] = first

    def first_of(self, place: int) -> int:
        parents = self._parents
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place


def _join_similar(groups: _Groups, distinct: dict[str, int], similarity_min: float) -> None:
    """Compare each text with those that share a band with it and are not in its group yet."""
    bands: dict[tuple[int, ...], list[tuple[int, RMinHash]]] = {}
    for text, place in distinct.items():
        minhash = _minhash(text)
        for band in _bands(minhash.digest()):
            members = bands.setdefault(band, [])
            is_full = len(members) >= BAND_TEXTS_MAX
            for other, other_minhash in members:
                is_joined = groups.first_of(other) == groups.first_of(place)
                if not is_joined and (is_full or minhash.jaccard(other_minhash) >= similarity_min):
                    groups.join(other, place)
            if not is_full:
                members.append((place, minhash))


def _minhash(text: str) -> RMinHash:
    minhash = RMinHash(num_perm=PERMUTATIONS, seed=HASH_SEED)
    minhash.update(shingles(text))
    return minhash


def _bands(digest: Sequence[int]) -> Iterator[tuple[int, ...]]:
    for start in range(0, PERMUTATIONS, ROWS_PER_BAND):
        yield (start, *digest[start : start + ROWS_PER_BAND])


def _without_template(texts: Sequence[str]) -> list[str]:
    if len(set(texts)) < 2:
        return list(texts)
    start = _shared_length(texts)
    rest = [text[start:] for text in texts]
    end = _shared_length([text[::-1] for text in rest])
    return [text[: len(text) - end] for text in rest]


def _shared_length(texts: Sequence[str]) -> int:
    """Return how many characters all texts begin with: as many as the first and the last text in sorted order share."""
    low, high = min(texts), max(texts)
    return next((place for place, (one, other) in enumerate(zip(low, high, strict=False)) if one != other), len(low))
