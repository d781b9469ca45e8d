"""The endpoints a batch may name: those that run here, and those OpenAI knows and we refuse."""

from __future__ import annotations

from collections.abc import Mapping

CHAT_COMPLETIONS = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
SCORE = "/v1/score"
RERANK = "/v1/rerank"
"""vLLM's own, for cross-encoders."""

BATCH_ENDPOINTS: tuple[str, ...] = (RESPONSES, CHAT_COMPLETIONS, EMBEDDINGS, COMPLETIONS)
"""Accepted by POST /v1/batches, in the order the error message lists them."""

REQUIRED_BODY_FIELD: Mapping[str, tuple[str, str]] = {
    CHAT_COMPLETIONS: ("messages", "Messages parameter is required."),
    COMPLETIONS: ("prompt", "Prompt parameter is required."),
    EMBEDDINGS: ("input", "Input parameter is required."),
    RESPONSES: ("input", "Input parameter is required."),
}
"""Endpoint → the field a body cannot do without, and the message of its absence."""
