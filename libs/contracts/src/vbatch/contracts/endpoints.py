"""The endpoints that a batch may name: those that run here, and those of OpenAI that are refused."""

from __future__ import annotations

from collections.abc import Mapping

CHAT_COMPLETIONS = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
SCORE = "/v1/score"
RERANK = "/v1/rerank"
"""vLLM's own endpoint, for models that compare texts."""

BATCH_ENDPOINTS: tuple[str, ...] = (CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RESPONSES, SCORE, RERANK)
"""The endpoints that POST /v1/batches accepts, in the order the error message lists them: like OpenAI's, chat first."""

TEXT_ENDPOINTS = frozenset({CHAT_COMPLETIONS, COMPLETIONS, RESPONSES})
"""The endpoints whose answers are text, which can be judged."""

REQUIRED_BODY_FIELDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    CHAT_COMPLETIONS: (("messages",),),
    COMPLETIONS: (("prompt",),),
    EMBEDDINGS: (("input",),),
    RESPONSES: (("input",),),
    SCORE: (("queries", "documents"), ("queries", "items"), ("text_1", "text_2"), ("data_1", "data_2")),
    RERANK: (("query", "documents"),),
}
"""Maps an endpoint to the fields that a body must have; where it lists several sets, one of them is enough."""

ENDPOINT_TITLES: Mapping[str, str] = {
    CHAT_COMPLETIONS: "Chat Completions",
    COMPLETIONS: "Completions",
    EMBEDDINGS: "Embeddings",
    RESPONSES: "Responses",
    SCORE: "Score",
    RERANK: "Rerank",
}
"""The name of each endpoint in the error that refuses `stream`."""
