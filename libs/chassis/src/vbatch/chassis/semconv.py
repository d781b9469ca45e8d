"""Every span and attribute name this product emits. Names only.

Messaging and generative-AI conventions are still in development upstream and renamed from time to time, so
they are written out here, from OpenTelemetry semantic conventions 1.44, and nowhere else.
"""

from typing import Final

MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_SYSTEM_NATS: Final = "nats"
MESSAGING_DESTINATION_NAME: Final = "messaging.destination.name"
MESSAGING_DESTINATION_TEMPLATE: Final = "messaging.destination.template"
MESSAGING_OPERATION_NAME: Final = "messaging.operation.name"
MESSAGING_OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGING_MESSAGE_ID: Final = "messaging.message.id"
MESSAGING_BATCH_MESSAGE_COUNT: Final = "messaging.batch.message_count"

GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
GEN_AI_RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
GEN_AI_USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
GEN_AI_USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
ERROR_TYPE: Final = "error.type"

BATCH_ID: Final = "batch.id"
FILE_ID: Final = "file.id"
REQUEST_LINE: Final = "batch.request.line"
CUSTOM_ID: Final = "batch.request.custom_id"
SLICE_ID: Final = "batch.slice.id"
CHUNK_SEQUENCE: Final = "batch.chunk.sequence"
RUNNER_ID: Final = "runner.id"
RUNNER_EPOCH: Final = "runner.epoch"
MODEL: Final = "batch.model"

ASSEMBLE_RESULTS: Final = "assemble results"
LOAD_MODEL: Final = "load model"
LINKS_PER_SPAN_MAX: Final = 32


def create_span(destination: str) -> str:
    """The name of a span that makes a message; `destination` is a template such as `evt.batch.created`."""
    return f"create {destination}"


def send_span(destination: str) -> str:
    """The name of a span that hands a message to the broker."""
    return f"send {destination}"


def process_span(destination: str) -> str:
    """The name of a span that handles a received message."""
    return f"process {destination}"


def chat_span(model: str) -> str:
    """The name of a span that covers one inference request."""
    return f"chat {model}"
