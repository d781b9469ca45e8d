"""The vLLM Batch Server from Python.

`Client` waits for each answer; `AsyncClient` does the same in an event loop. Both take files, tables and frames, follow
batches live, and read answers one by one, as frames, or joined to the table that they came from.
"""

from __future__ import annotations

from vbatch.client.asynchronous import AsyncAnswers, AsyncClient
from vbatch.client.blocking import Answers, Client
from vbatch.client.core.answers import Answer
from vbatch.client.core.live_events import LiveEvent
from vbatch.client.core.progress import Progress
from vbatch.client.core.requests import RequestTemplate
from vbatch.client.core.templates import TemplateError
from vbatch.client.errors import (
    AnswerNotUnderstood,
    BadUrl,
    ClientError,
    PackageMissing,
    Refused,
    TableError,
    Unreachable,
)
from vbatch.client.objects import Batch, Counts, Fault, Faults, StoredFile, Usage
from vbatch.client.tables.joins import JoinReport
from vbatch.client.tables.sources import Format
from vbatch.contracts.lifecycle import BatchStatus

__all__ = [
    "Answer",
    "AnswerNotUnderstood",
    "Answers",
    "AsyncAnswers",
    "AsyncClient",
    "BadUrl",
    "Batch",
    "BatchStatus",
    "Client",
    "ClientError",
    "Counts",
    "Fault",
    "Faults",
    "Format",
    "JoinReport",
    "LiveEvent",
    "PackageMissing",
    "Progress",
    "Refused",
    "RequestTemplate",
    "StoredFile",
    "TableError",
    "TemplateError",
    "Unreachable",
    "Usage",
]
