"""An engine's prefix cache: a block is found by the whole prompt before it; the least recently used is dropped."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

BLOCK_BYTES = 64
"""Sixteen tokens of four bytes, as vLLM's blocks."""


def hit_share(prompts: Iterable[bytes], blocks_max: int) -> float:
    """Return the share of all whole blocks that were cached when their prompt came; the cache holds `blocks_max`."""
    cache: OrderedDict[bytes, None] = OrderedDict()
    asked = hits = 0
    for prompt in prompts:
        missed = False
        for end in range(BLOCK_BYTES, len(prompt) + 1, BLOCK_BYTES):
            asked += 1
            missed = missed or prompt[:end] not in cache
            hits += not missed
            cache[prompt[:end]] = None
            cache.move_to_end(prompt[:end])
            if len(cache) > blocks_max:
                cache.popitem(last=False)
    return hits / asked if asked else 0.0


def question_major(documents: int, questions: int, document_bytes: int = 4_000) -> list[str]:
    """The first question about each document, then the second about each: the usual order of such files."""
    texts = [
        f"Document {number}: {f'{number * 7919 % 10_007:05} ' * (document_bytes // 6)}" for number in range(documents)
    ]
    return [f"{text}\nQuestion {number}?" for number in range(questions) for text in texts]
