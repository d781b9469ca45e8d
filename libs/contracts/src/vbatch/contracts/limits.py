"""The bounds of the texts and lists in events, in bytes unless they count entries. `events` names them at its fields.

A text for people is cut to its bound when its event is encoded, and says so. A name is never cut: the code that takes
it from a client refuses one that is too long. `bounds` says what each kind of bound means.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from vbatch.contracts.access import Scope
from vbatch.contracts.bounds import Items, Json, Name, Text
from vbatch.contracts.ids import MODEL_ID_BYTES_MAX as MODEL_ID_BYTES_MAX

KIB = 1024
MESSAGE_BYTES_MAX = 2 * 1024 * KIB
"""One message in the log, headers included."""
HEADERS_BYTES_MAX = 8 * KIB
"""All headers of an event: CloudEvents, the guard, the trace context."""

CUSTOM_ID_BYTES_MAX = 1024
"""The `custom_id` of a request line; a longer one is a fault of its line."""
FAULT_MESSAGE_BYTES_MAX = 1024
"""The message of a fault, which may quote a client."""
FAULTS_COUNT_MAX = 5_000
FAULTS_BYTES_MAX = 1536 * KIB
"""The JSON of all faults of one file; one more fault says how many were left out."""
DETAIL_BYTES_MAX = 8 * KIB
"""The end of an engine's output, or the reason of a return."""
REASON_BYTES_MAX = 2 * KIB
REQUEST_ERROR_BYTES_MAX = 2 * KIB
ANSWER_BYTES_MAX = 1024 * KIB
"""The largest answer inside a chunk. A larger one goes to a blob."""
SMALL_CHUNK_BYTES_MAX = 256 * KIB
"""The JSON of several outcomes together."""
OUTCOME_BYTES_MAX = ANSWER_BYTES_MAX + 32 * KIB
"""The JSON of one outcome: its answer, its custom_id with every character escaped, an error, numbers."""
OUTCOMES_COUNT_MAX = 256
SLICE_LINES_MAX = 1_024
PARTS_COUNT_MAX = 2_048
MODELS_COUNT_MAX = 16
MODEL_DEFINITION_BYTES_MAX = 64 * KIB
FILENAME_BYTES_MAX = 1_020
"""255 characters of up to four bytes each."""
MIME_TYPE_BYTES_MAX = 1_020
METADATA_PAIRS_MAX = 16
METADATA_KEY_BYTES_MAX = 256
METADATA_VALUE_BYTES_MAX = 2 * KIB
"""64 and 512 characters, each of up to four bytes."""
BLOB_BYTES_MAX = 256
WORD_BYTES_MAX = 128
"""For a string from a closed list, or a name that an operator chose: a purpose, an endpoint, a window, a digest."""
TOKENS_MAX = 2**31 - 1
"""For the tokens of one request; the columns of the read model are 32 bits wide."""
OUTPUT_KINDS_COUNT = 2
"""The files of a batch: output and error."""
PROFILE_SETTINGS_COUNT_MAX = 48
"""For the arguments and variables that an engine is told. The list of a definition that gives more is cut."""
PERSON_TEXT_BYTES_MAX = 800
"""200 characters, each of up to four bytes: the name of a key or an endpoint, or why a key was revoked."""
URL_BYTES_MAX = 2_048
EVENT_TYPES_COUNT_MAX = 32
PAYLOAD_BYTES_MAX = 2 * KIB
"""For what a webhook is sent."""
SHORT_ANSWER_BYTES_MAX = 4 * KIB
"""For the beginning of a receiver's answer: 1 KiB as it came, more once it is text."""
RETRY_AFTER_BYTES_MAX = 64
"""For an engine's Retry-After header. A longer one counts as missing."""

BlobName = Annotated[str, Name(BLOB_BYTES_MAX)]
CustomId = Annotated[str, Name(CUSTOM_ID_BYTES_MAX)]
Word = Annotated[str, Name(WORD_BYTES_MAX)]
Filename = Annotated[str, Name(FILENAME_BYTES_MAX)]
PersonText = Annotated[str, Name(PERSON_TEXT_BYTES_MAX)]
Url = Annotated[str, Name(URL_BYTES_MAX)]
EventTypes = Annotated[tuple[Word, ...], Items(EVENT_TYPES_COUNT_MAX)]
Scopes = Annotated[tuple[Scope, ...], Items(len(Scope))]
Payload = Annotated[str, Name(PAYLOAD_BYTES_MAX)]
ShortAnswer = Annotated[str, Text(SHORT_ANSWER_BYTES_MAX)]
MimeType = Annotated[str, Name(MIME_TYPE_BYTES_MAX)]
Lines = Annotated[tuple[int, ...], Items(SLICE_LINES_MAX)]
Metadata = Annotated[
    dict[
        Annotated[str, Name(METADATA_KEY_BYTES_MAX)],
        Annotated[str, Name(METADATA_VALUE_BYTES_MAX)],
    ],
    Items(METADATA_PAIRS_MAX),
]
FaultMessage = Annotated[str, Text(FAULT_MESSAGE_BYTES_MAX)]
ErrorMessage = Annotated[str, Text(REQUEST_ERROR_BYTES_MAX)]
Detail = Annotated[str, Text(DETAIL_BYTES_MAX)]
ReasonText = Annotated[str, Text(REASON_BYTES_MAX)]
ShortText = Annotated[str, Text(WORD_BYTES_MAX)]
Answer = Annotated[msgspec.Raw, Json(ANSWER_BYTES_MAX)]
