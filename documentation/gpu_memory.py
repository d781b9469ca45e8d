"""Which of the known models fits which card, by the rule that the runner itself applies before it starts an engine."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from documentation.markdown import table
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.core.command import Device, DeviceKind, effective_arguments
from vbatch.gpu_runner.core.fit import GIB, Fit, ModelShape, fit

ROOT = Path(__file__).parents[1]
CARDS_GIB = (8, 12, 16, 24, 48, 80)
"""Sizes of common cards, such as RTX 4060, 4070, 4080, 4090, L40S and H100."""
TOKENS_A_REQUEST = 1_100
"""What the profiles of models.toml are made for, prompt and answer together."""
PUBLISHED_SHAPES: Mapping[str, ModelShape] = {
    "google/gemma-3-4b-it": ModelShape(8_600_000_000, 34, 4, 256, 131072, 2.0, layers_sliding=29, window_tokens=1024),
    "meta-llama/Llama-3.2-1B-Instruct": ModelShape(2_472_000_000, 16, 8, 64, 131072),
    "meta-llama/Llama-3.2-3B-Instruct": ModelShape(6_426_000_000, 28, 8, 128, 131072),
    "Qwen/Qwen3-4B-Instruct-2507": ModelShape(8_045_000_000, 36, 8, 128, 262144),
    "allenai/OLMo-2-1124-7B-Instruct": ModelShape(14_598_000_000, 32, 32, 128, 4096),
    "ibm-granite/granite-3.1-3b-a800m-instruct": ModelShape(6_598_000_000, 32, 8, 64, 131072),
}
"""As their config.json has them: weights in bytes, layers, KV heads, head size, longest context."""


def shipped_profiles() -> dict[str, ModelDefinition]:
    """The entries of models.toml behind comment signs: what is there when a user removes the signs."""
    text = (ROOT / "models.toml").read_text()
    lines = text[text.index("# [[model]]") :].splitlines()
    bare = [line.removeprefix("# ") for line in lines if line.startswith(("# [", "# id", "# e", "# h", "# m", "# a"))]
    entries = tomllib.loads("\n".join(word for word in bare if "=" in word or word.startswith("[")))["model"]
    return {entry["id"]: msgspec.convert(entry, ModelDefinition) for entry in entries}


def memory_tables() -> str:
    """Two tables: what each profile takes, and how many requests run at once on each card."""
    profiles = shipped_profiles()
    needs = [_needs_row(model, profiles[model]) for model in PUBLISHED_SHAPES]
    cards = [_cards_row(model, profiles[model]) for model in PUBLISHED_SHAPES]
    headings = ("model", *(f"{size} GiB" for size in CARDS_GIB))
    return "\n".join(
        [
            table(("model", "weights", "cache of one request", "context"), needs),
            f"Requests of {TOKENS_A_REQUEST:,} tokens that the KV cache holds at once, by the memory of the card:\n",
            table(headings, cards),
        ]
    )


def _needs_row(model: str, definition: ModelDefinition) -> tuple[str, ...]:
    found, shape = _fit(model, definition, CARDS_GIB[-1]), PUBLISHED_SHAPES[model]
    return (
        f"`{model}`",
        f"{found.weights_bytes / GIB:.1f} GiB",
        f"{shape.kv_bytes(TOKENS_A_REQUEST, _value_bytes(definition)) / (1 << 20):.0f} MiB",
        f"{found.tokens_wanted:,}",
    )


def _cards_row(model: str, definition: ModelDefinition) -> tuple[str, ...]:
    return (f"`{model}`", *(_requests_text(model, definition, size) for size in CARDS_GIB))


def _requests_text(model: str, definition: ModelDefinition, card_gib: int) -> str:
    """How many requests fit, or that the model is refused on this card."""
    found = _fit(model, definition, card_gib)
    if not found.is_fit:
        return "no"
    left = found.memory_bytes - found.weights_bytes - found.overhead_bytes
    return f"{left // PUBLISHED_SHAPES[model].kv_bytes(TOKENS_A_REQUEST, _value_bytes(definition)):,}"


def _fit(model: str, definition: ModelDefinition, card_gib: int) -> Fit:
    device = Device(DeviceKind.NVIDIA, "card", card_gib * GIB)
    return fit(PUBLISHED_SHAPES[model], effective_arguments(definition, device), device, 0)


def _value_bytes(definition: ModelDefinition) -> float:
    return 1.0 if definition.arguments.get("kv-cache-dtype") == "fp8" else 2.0
