"""The form of a new version of a data set, and the API request it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vbatch.console.core.new_batch import Misfilled
from vbatch.contracts.curation import BATCHES_COUNT_MAX, DATASET_NAME_PATTERN

FORMATS = (
    ("raw", "with everything that is known"),
    ("openai-chat", "OpenAI, fine-tuning"),
    ("openai-preference", "OpenAI, preferences"),
    ("trl-sft", "TRL, SFT"),
    ("trl-dpo", "TRL, DPO"),
    ("trl-kto", "TRL, KTO"),
    ("sharegpt", "ShareGPT"),
    ("alpaca", "Alpaca"),
)
"""What the lines of a download are, and who uses them."""


def dataset_body(fields: Mapping[str, str], batch_ids: Sequence[str]) -> dict[str, object]:
    """Return the body of `POST /v1/datasets`. Raises Misfilled."""
    name = fields.get("name", "").strip()
    if not DATASET_NAME_PATTERN.fullmatch(name):
        raise Misfilled(
            "A name is 1 to 64 small letters, digits, dots, underscores and hyphens, such as support-answers."
        )
    if not 1 <= len(batch_ids) <= BATCHES_COUNT_MAX:
        raise Misfilled(f"Choose 1 to {BATCHES_COUNT_MAX} batches.")
    return {
        "name": name,
        "batch_ids": list(batch_ids),
        "test_share": _share(fields, "test"),
        "validation_share": _share(fields, "validation"),
    }


def _share(fields: Mapping[str, str], name: str) -> float:
    text = fields.get(name, "").strip() or "0"
    if not (text.isascii() and text.isdigit()) or int(text) > 50:
        raise Misfilled("A share of a split is a whole number of percent from 0 to 50.")
    return int(text) / 100
