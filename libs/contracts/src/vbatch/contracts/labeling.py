"""What is handed to Label Studio: the terms, and the items that the gateway chooses and the labeler sends."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from vbatch.contracts.previews import Json

ITEMS_MAX = 10_000
"""The most items of one labeling: beyond it, the pages of Label Studio become slow."""
LABELS_COUNT_MAX = 64
ITEMS = "labelings"
"""The folder of their blobs."""


class LabelingTemplate(StrEnum):
    """What people are shown, and what they are asked."""

    CHAT = "chat"
    """One answer: a verdict, a score, a better text, reasons."""
    CLASSIFICATION = "classification"
    """One answer that names a label: which one is right."""
    PAIRWISE = "pairwise"
    """Two answers to one prompt: which one is better."""


class LabelingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. `text` is what the model said; `model_version` names the model and its source."""

    batch_id: str
    line: int
    custom_id: str
    model_version: str
    text: str


class LabelingItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the blob of a labeling: a conversation and its answer, or its two answers in the order in which they
    are shown."""

    messages: list[Json]
    answer: LabelingAnswer
    other: LabelingAnswer | None = None
    label: str | None = None
    """For a classification: what the model answered."""
    label_field: str = ""
    """The key of the answer's JSON that holds the label; empty if the answer itself is the label."""
