"""The endpoints a batch may name: those that run here, and those OpenAI knows and we refuse."""

from __future__ import annotations

from collections.abc import Mapping

CHAT_COMPLETIONS = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
SCORE = "/v1/score"
RERANK = "/v1/rerank"
"""vLLM's own, for models that compare texts."""

BATCH_ENDPOINTS: tuple[str, ...] = (CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RESPONSES, SCORE, RERANK)
"""Accepted by POST /v1/batches, in the order the error message lists them: as OpenAI's, it begins with chat."""

REQUIRED_BODY_FIELDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    CHAT_COMPLETIONS: (("messages",),),
    COMPLETIONS: (("prompt",),),
    EMBEDDINGS: (("input",),),
    RESPONSES: (("input",),),
    SCORE: (("queries", "documents"), ("queries", "items"), ("text_1", "text_2"), ("data_1", "data_2")),
    RERANK: (("query", "documents"),),
}
"""Endpoint → the fields a body cannot do without; of several sets one is enough."""

ENDPOINT_TITLES: Mapping[str, str] = {
    CHAT_COMPLETIONS: "Chat Completions",
    COMPLETIONS: "Completions",
    EMBEDDINGS: "Embeddings",
    RESPONSES: "Responses",
    SCORE: "Score",
    RERANK: "Rerank",
}
"""What the refusal of `stream` calls the endpoint."""
