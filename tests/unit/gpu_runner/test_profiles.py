"""The profiles in models.toml for a 16 GB card are valid, and by the published sizes of their models they fit."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from tests.support.paths import ROOT
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.core.command import Device, DeviceKind, effective_arguments
from vbatch.gpu_runner.core.fit import GIB, ModelShape, fit, shape_of

CARD = Device(DeviceKind.NVIDIA, "RTX 4080", 16 * GIB)
TOKENS_A_REQUEST = 1_100
SHAPES = {
    "google/gemma-3-4b-it": ModelShape(8_600_000_000, 34, 4, 256, 131072, 2.0, layers_sliding=29, window_tokens=1024),
    "meta-llama/Llama-3.2-1B-Instruct": ModelShape(2_472_000_000, 16, 8, 64, 131072),
    "meta-llama/Llama-3.2-3B-Instruct": ModelShape(6_426_000_000, 28, 8, 128, 131072),
    "Qwen/Qwen3-4B-Instruct-2507": ModelShape(8_045_000_000, 36, 8, 128, 262144),
    "allenai/OLMo-2-1124-7B-Instruct": ModelShape(14_598_000_000, 32, 32, 128, 4096),
    "ibm-granite/granite-3.1-3b-a800m-instruct": ModelShape(6_598_000_000, 32, 8, 64, 131072),
}
"""As their config.json has them: weights in bytes, layers, KV heads, head size, longest context."""


class Published(msgspec.Struct, frozen=True):
    """One file of tests/published: what a model's config.json says of its shape."""

    model: str
    source: str
    config: dict[str, Any]


PUBLISHED = {
    found.model: found
    for found in (
        msgspec.json.decode(path.read_bytes(), type=Published) for path in (ROOT / "tests/published").iterdir()
    )
}
GEMMA = "google/gemma-3-4b-it"
GEMMA_WORDS = 262_208
"""The vocabulary that Gemma3TextConfig has by default."""


def parameters(config: dict[str, Any]) -> int:
    """Attention, feed-forward (of every expert), embeddings, a vision tower; norms and biases are next to nothing."""
    text = {**config, **config.get("text_config", {})}
    shape, hidden = shape_of(config, 1), text["hidden_size"]
    heads = text.get("num_attention_heads") or 8
    attention = 2 * hidden * shape.head_size * (heads + shape.kv_heads)
    experts = text.get("num_local_experts", 1)
    layer = attention + experts * 3 * hidden * text["intermediate_size"]
    words = text.get("vocab_size", GEMMA_WORDS) * hidden * (1 if text.get("tie_word_embeddings", True) else 2)
    return int(shape.layers * layer + words) + tower(config.get("vision_config"))


def tower(config: dict[str, Any] | None) -> int:
    """Of SigLIP: four attention matrices and two of feed-forward a layer, and its patches."""
    if config is None:
        return 0
    hidden, patches = config["hidden_size"], (config["image_size"] // config["patch_size"]) ** 2
    layer = 4 * hidden**2 + 2 * hidden * config["intermediate_size"]
    return int(config["num_hidden_layers"] * layer + hidden * (patches + 3 * config["patch_size"] ** 2))


def comment_above(model: str) -> str:
    """The comment right above a model's entry."""
    text = (ROOT / "models.toml").read_text()
    before = text[: text.index(f'# id = "{model}"')].removesuffix("# [[model]]\n")
    return " ".join(line.removeprefix("# ") for line in before.splitlines()[-4:])


def commented_out() -> dict[str, ModelDefinition]:
    """The entries behind comment signs: what is there when a user takes the signs off."""
    text = (ROOT / "models.toml").read_text()
    lines = text[text.index("# [[model]]") :].splitlines()
    bare = [line.removeprefix("# ") for line in lines if line.startswith(("# [", "# id", "# e", "# h", "# m", "# a"))]
    entries = tomllib.loads("\n".join(word for word in bare if "=" in word or word.startswith("[")))["model"]
    return {entry["id"]: msgspec.convert(entry, ModelDefinition) for entry in entries}


def test_each_of_the_six_has_a_profile():
    assert commented_out().keys() == SHAPES.keys()


@pytest.mark.parametrize("model", SHAPES)
def test_a_profile_fits_and_its_cache_holds_about_the_requests_it_runs_at_once(model: str):
    definition, shape = commented_out()[model], SHAPES[model]
    assert definition.source_fault() is None
    arguments = effective_arguments(definition, CARD)
    found = fit(shape, arguments, CARD, 0)
    assert found.is_fit, found.refusal()
    value_bytes = 1.0 if arguments.get("kv-cache-dtype") == "fp8" else 2.0
    left = found.memory_bytes - found.weights_bytes - found.overhead_bytes
    at_once = left / shape.kv_bytes(TOKENS_A_REQUEST, value_bytes)
    assert 0.7 < definition.max_num_seqs / at_once < 1.25


@pytest.mark.parametrize("model", SHAPES)
def test_the_shape_is_read_from_the_published_configuration(model: str):
    shape = shape_of(PUBLISHED[model].config, SHAPES[model].weights_bytes)
    assert shape == SHAPES[model]


@pytest.mark.parametrize("model", SHAPES)
def test_the_weights_are_as_large_as_the_published_configuration_makes_them(model: str):
    bytes_of_config = 2 * parameters(PUBLISHED[model].config)
    assert SHAPES[model].weights_bytes == pytest.approx(bytes_of_config, rel=0.005)


@pytest.mark.parametrize("model", SHAPES)
def test_the_cache_of_a_token_is_what_the_comment_says(model: str):
    shape, fp8 = SHAPES[model], commented_out()[model].arguments.get("kv-cache-dtype") == "fp8"
    of_full_layers = replace(shape, layers=shape.layers - shape.layers_sliding, layers_sliding=0)
    kibibytes = of_full_layers.kv_bytes(1, 1.0 if fp8 and model != GEMMA else 2.0) // 1024
    assert f"{kibibytes} KiB of cache a token" in comment_above(model)


def test_a_configuration_without_a_family_or_a_pattern_has_no_windows():
    assert shape_of({"num_hidden_layers": 4, "sliding_window": 512}, 1).layers_sliding == 0


def test_on_a_cpu_a_profile_asks_for_nothing_that_only_a_gpu_has():
    cpu = Device(DeviceKind.CPU, "cpu", 24 * GIB)
    for definition in commented_out().values():
        arguments = effective_arguments(definition, cpu)
        assert not arguments.get("quantization") and arguments.get("kv-cache-dtype", "auto") == "auto"
