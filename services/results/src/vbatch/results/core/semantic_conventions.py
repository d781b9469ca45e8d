"""The names that OpenTelemetry gives to attributes of our spans; those of GenAI are in development and may change.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/, as of semantic conventions 1.44.
"""

from __future__ import annotations

from collections.abc import Mapping

from vbatch.contracts import endpoints

OPERATION = "gen_ai.operation.name"
MODEL = "gen_ai.request.model"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
STATUS_CODE = "http.response.status_code"
ERROR_TYPE = "error.type"

OPERATIONS: Mapping[str, str] = {
    endpoints.CHAT_COMPLETIONS: "chat",
    endpoints.RESPONSES: "chat",
    endpoints.COMPLETIONS: "text_completion",
    endpoints.EMBEDDINGS: "embeddings",
}
"""The operation by endpoint. The conventions have no operation for scores, so those are named after their endpoint."""


def operation_of(endpoint: str) -> str:
    return OPERATIONS.get(endpoint, endpoint.rsplit("/", 1)[-1])
