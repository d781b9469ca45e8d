"""Answers for which nothing is generated: embeddings, scores and rankings."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import cast

from vbatch.gpu_runner.simulated.answer_frame import digest, frame
from vbatch.gpu_runner.simulated.generated_answers import Words
from vbatch.gpu_runner.simulated.request_body import Body, Json, inputs, left_texts, right_texts, text_of

EMBEDDING_DIMENSIONS, EMBEDDING_DIMENSIONS_MAX = 8, 4096


def embeddings(body: Body, prompt: list[str], _words: Words) -> dict[str, Json]:
    rows = [
        {"object": "embedding", "index": i, "embedding": _encoded(_vector(text_of(item), body), body)}
        for i, item in enumerate(inputs(body.input))
    ]
    return frame("embd", "list", body, prompt) | {"data": rows, "simulated": True}


def _encoded(vector: list[float], body: Body) -> Json:
    """Encode as numbers, or as base64 of little-endian 32-bit floats; every number here is exact in those."""
    if body.encoding_format != "base64":
        return cast(Json, vector)
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _vector(text: str, body: Body) -> list[float]:
    """Return numbers from -1 to 127/128 in steps of 1/128; the vector is not normalised."""
    dimensions = min(body.dimensions or EMBEDDING_DIMENSIONS, EMBEDDING_DIMENSIONS_MAX)
    return [(byte - 128) / 128 for byte in hashlib.shake_128(text.encode(errors="replace")).digest(dimensions)]


def score(body: Body, prompt: list[str], _words: Words) -> dict[str, Json]:
    rows = [{"index": i, "object": "score", "score": item} for i, item in enumerate(_scores(body))]
    return frame("score", "list", body, prompt) | {"data": rows, "simulated": True}


def rerank(body: Body, prompt: list[str], _words: Words) -> dict[str, Json]:
    """Rank best first, as vLLM does; `top_n` 0 or missing: all."""
    pairs = zip(_scores(body), right_texts(body), strict=False)
    rows = [
        {"index": i, "document": {"text": str(item)}, "relevance_score": one} for i, (one, item) in enumerate(pairs)
    ]
    best = sorted(rows, key=lambda row: (-cast(float, row["relevance_score"]), cast(int, row["index"])))
    return frame("rerank", "list", body, prompt) | {"results": best[: body.top_n or None], "simulated": True}


def _scores(body: Body) -> list[float]:
    """Compare one left text with each right one; otherwise compare them in pairs."""
    left, right = left_texts(body), right_texts(body)
    left = left * len(right) if len(left) == 1 else left
    return [round(digest(f"{one}|{other}")[0] / 255, 4) for one, other in zip(left, right, strict=False)]
