"""The profiles in models.toml for a 16 GB card are valid, and by the published sizes of their models they fit."""

from __future__ import annotations

import tomllib

import msgspec
import pytest

from tests.support.paths import ROOT
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.core.command import Device, DeviceKind, effective_arguments
from vbatch.gpu_runner.core.fit import GIB, ModelShape, fit

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


def test_on_a_cpu_a_profile_asks_for_nothing_that_only_a_gpu_has():
    cpu = Device(DeviceKind.CPU, "cpu", 24 * GIB)
    for definition in commented_out().values():
        arguments = effective_arguments(definition, cpu)
        assert not arguments.get("quantization") and arguments.get("kv-cache-dtype", "auto") == "auto"
