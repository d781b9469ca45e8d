"""What cannot fit is refused before it is loaded, with the sum that says why. Sizes are as the models are published."""

from __future__ import annotations

from hypothesis import given, strategies as st

from vbatch.contracts.models import ArgumentValue
from vbatch.gpu_runner.core.command import Device, DeviceKind
from vbatch.gpu_runner.core.fit import GIB, Fit, ModelShape, cpu_cache_bytes, fit, shape_of

GPU = Device(DeviceKind.NVIDIA, "RTX 4080", 16 * GIB)
LARGE_GPU = Device(DeviceKind.NVIDIA, "A100", 80 * GIB)
CPU = Device(DeviceKind.CPU, "cpu", 24 * GIB)
OLMO_7B = shape_of(
    {
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "hidden_size": 4096,
        "max_position_embeddings": 4096,
        "torch_dtype": "bfloat16",
    },
    weights_bytes=14_600_000_000,
)
LLAMA_3B = shape_of(
    {
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "hidden_size": 3072,
        "max_position_embeddings": 131072,
        "torch_dtype": "bfloat16",
    },
    weights_bytes=6_425_000_000,
)
SMOL = ModelShape(270_000_000, layers=30, kv_heads=3, head_size=64, context_tokens=8192)


def on_gpu(shape: ModelShape, device: Device = GPU, **arguments: ArgumentValue) -> Fit:
    return fit(shape, {name.replace("_", "-"): value for name, value in arguments.items()}, device, 0)


def test_a_token_of_llama_3b_takes_112_kib_of_cache():
    assert LLAMA_3B.kv_bytes(1, 2.0) == 112 * 1024


def test_olmo_7b_in_bfloat16_does_not_fit_16_gb_and_the_refusal_shows_the_sum():
    found = on_gpu(OLMO_7B)
    assert not found.is_fit
    assert (
        "weights 13.6 GiB + KV cache of one request of 4096 tokens 2.0 GiB + 1.5 GiB for the rest = 17.1 GiB"
        in found.refusal()
    )
    assert "may use 14.7 GiB" in found.refusal() and 'quantization = "fp8"' in found.refusal()


def test_the_profile_that_the_refusal_names_fits():
    assert on_gpu(OLMO_7B, quantization="fp8").is_fit
    assert on_gpu(OLMO_7B, LARGE_GPU).is_fit


def test_a_context_too_long_is_refused_with_one_that_fits():
    found = on_gpu(LLAMA_3B)
    assert not found.is_fit and found.tokens_wanted == 131072
    assert f"max-model-len = {found.tokens_that_fit} would fit" in found.refusal()
    assert on_gpu(LLAMA_3B, max_model_len=found.tokens_that_fit).is_fit


def test_a_cache_in_8_bit_holds_what_one_in_16_does_not():
    assert not on_gpu(LLAMA_3B).is_fit
    assert on_gpu(LLAMA_3B, kv_cache_dtype="fp8_e4m3").is_fit


def test_layers_with_a_sliding_window_keep_no_more_than_it():
    config = {
        "text_config": {
            "num_hidden_layers": 6,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "num_attention_heads": 8,
            "sliding_window": 1024,
            "layer_types": ["sliding_attention"] * 5 + ["full_attention"],
        }
    }
    shape = shape_of(config, 1)
    assert shape.kv_bytes(8192, 2.0) == 2 * (8192 + 5 * 1024) * 4 * 256 * 2


def test_a_cpu_engine_has_the_cache_it_was_told():
    described = cpu_cache_bytes({}, {"VLLM_CPU_KVCACHE_SPACE": "1"})
    assert described == GIB
    assert fit(SMOL, {"max-model-len": 2048}, CPU, described).is_fit
    assert not fit(LLAMA_3B, {"max-model-len": 32768}, CPU, described).is_fit


def test_a_model_that_says_nothing_of_itself_is_not_refused():
    assert on_gpu(shape_of({}, 1_000_000)).is_fit


@given(st.integers(1, 100_000), st.integers(0, 20_000_000_000))
def test_what_is_said_to_fit_fits(tokens: int, weights: int):
    found = on_gpu(ModelShape(weights, 28, 8, 128, tokens))
    if found.tokens_that_fit:
        assert on_gpu(ModelShape(weights, 28, 8, 128, found.tokens_that_fit)).is_fit
