"""Whether a model fits the device, calculated before it is loaded: weights + KV cache + process overhead.

The KV cache of one token (vLLM, v1/kv_cache_interface.py): 2 * layers * KV heads * head size * bytes a value. A layer
with a sliding window keeps only the tokens of that window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vbatch.contracts.models import ArgumentValue
from vbatch.gpu_runner.core.command import Device, DeviceKind

GIB = 1 << 30
GPU_UTILIZATION_DEFAULT = 0.92
"""vLLM's default (vllm/config/cache.py)."""
GPU_OVERHEAD_BYTES = GIB * 3 // 2
"""CUDA context, graphs and profiling activations; derived from published logs of 16 GB cards, not measured here."""
CPU_OVERHEAD_BYTES = GIB * 5 // 2
"""Three processes without weights and cache (measured: 0.8 + 0.7 + 0.7 GB)."""
CPU_SHARE_MAX = 0.8
"""The share of the machine's memory for the engine: the server, its log and its database need the rest."""
CPU_CACHE_DEFAULT_BYTES = 4 * GIB
VALUE_BYTES: Mapping[str, float] = {"float32": 4, "float16": 2, "bfloat16": 2, "fp8": 1, "int8": 1}
QUANTIZED_BYTES: Mapping[str, float] = {"fp8": 1.0, "int8": 1.0, "bitsandbytes": 0.55}
"""The size of a weight that is quantised while it loads. Other methods load weights that already are."""
QUANTIZED_SHARE = 0.9
"""The share of the weights that is quantised; embeddings and norms are not."""
FAMILY_DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "gemma3_text": {
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 131_072,
        "sliding_window": 4_096,
        "sliding_window_pattern": 6,
    },
}
"""What a family's config.json may leave out (transformers, configuration_gemma3.py)."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The facts from config.json and the weights' headers. `context_tokens` is the longest context of the model.

    `layers_sliding` of the layers keep only the last `window_tokens`. `is_quantized`: its weights were published
    quantised.
    """

    weights_bytes: int
    layers: int = 0
    kv_heads: int = 0
    head_size: int = 0
    context_tokens: int = 0
    value_bytes: float = 2.0
    layers_sliding: int = 0
    window_tokens: int = 0
    is_quantized: bool = False

    def kv_bytes(self, tokens: int, value_bytes: float) -> int:
        """Return the size of the cache of one request with this many tokens."""
        full = (self.layers - self.layers_sliding) * tokens
        sliding = self.layers_sliding * min(tokens, self.window_tokens)
        return int(2 * (full + sliding) * self.kv_heads * self.head_size * value_bytes)


@dataclass(frozen=True, slots=True)
class Fit:
    """The memory of one model on one device, in bytes. `kv_bytes_wanted` holds one request of maximum length."""

    memory_bytes: int
    weights_bytes: int
    overhead_bytes: int
    kv_bytes_wanted: int
    tokens_wanted: int
    tokens_that_fit: int
    is_gpu: bool = True
    is_float32: bool = False

    @property
    def bytes_wanted(self) -> int:
        return self.weights_bytes + self.overhead_bytes + self.kv_bytes_wanted

    @property
    def is_fit(self) -> bool:
        return self.bytes_wanted <= self.memory_bytes

    def refusal(self) -> str:
        """Return the calculation in one sentence, and what would fit."""
        sums = (
            f"weights {_gib(self.weights_bytes)} + KV cache of one request of {self.tokens_wanted} tokens "
            f"{_gib(self.kv_bytes_wanted)} + {_gib(self.overhead_bytes)} for the rest = {_gib(self.bytes_wanted)}"
        )
        return f"it does not fit: {sums}, the engine may use {_gib(self.memory_bytes)}; {self._remedy()}"

    def _remedy(self) -> str:
        if self.tokens_that_fit >= TOKENS_WORTH_HAVING:
            return f"max-model-len = {self.tokens_that_fit} would fit"
        if self.is_float32 and self.weights_bytes / 2 + self.overhead_bytes < self.memory_bytes:
            return 'dtype = "bfloat16" would halve its weights and fit'
        halved = self.weights_bytes * (1 - QUANTIZED_SHARE / 2)
        if self.is_gpu and halved + self.overhead_bytes < self.memory_bytes:
            return 'quantization = "fp8" would halve its weights and fit'
        return "it needs a larger device or a smaller model"


TOKENS_WORTH_HAVING = 1024
TOKENS_STEP = 256


def fit(shape: ModelShape, arguments: Mapping[str, ArgumentValue], device: Device, cpu_cache_bytes: int) -> Fit:
    """Calculate the memory of a model with its arguments (spelled with dashes); a CPU's cache has the size set."""
    weights, overhead = _weights(shape, arguments), _overhead(device)
    memory = _memory(arguments, device)
    if device.kind is DeviceKind.CPU:
        memory = min(memory, weights + overhead + cpu_cache_bytes)
    tokens = int(arguments.get("max-model-len", 0)) or shape.context_tokens
    loaded_bytes = VALUE_BYTES.get(str(arguments.get("dtype", "")), shape.value_bytes)
    value_bytes = VALUE_BYTES.get(str(arguments.get("kv-cache-dtype", "")).split("_")[0], loaded_bytes)
    return Fit(
        memory_bytes=memory,
        weights_bytes=weights,
        overhead_bytes=overhead,
        kv_bytes_wanted=shape.kv_bytes(tokens, value_bytes),
        tokens_wanted=tokens,
        tokens_that_fit=_tokens_in(memory - weights - overhead, shape, value_bytes),
        is_gpu=device.kind is not DeviceKind.CPU,
        is_float32=loaded_bytes == VALUE_BYTES["float32"],
    )


def cpu_cache_bytes(arguments: Mapping[str, ArgumentValue], environment: Mapping[str, str]) -> int:
    """Return the cache size that a CPU engine is told to use (vllm/platforms/cpu.py)."""
    given = environment.get("VLLM_CPU_KVCACHE_SPACE") or ""
    if given.isdigit() and int(given):
        return int(given) * GIB
    return int(arguments.get("kv-cache-memory-bytes", CPU_CACHE_DEFAULT_BYTES))


def shape_of(config: Mapping[str, Any], weights_bytes: int) -> ModelShape:
    """Read a Hugging Face config.json. A missing value counts as zero, so it never leads to a refusal."""
    said = {**config, **config.get("text_config", {})}
    text = {**FAMILY_DEFAULTS.get(str(said.get("model_type")), {}), **said}
    heads, hidden = _number(text, "num_attention_heads"), _number(text, "hidden_size")
    layers = _number(text, "num_hidden_layers")
    return ModelShape(
        weights_bytes=weights_bytes,
        layers=layers,
        kv_heads=_number(text, "num_key_value_heads") or heads,
        head_size=_number(text, "head_dim") or (hidden // heads if heads else 0),
        context_tokens=_number(text, "max_position_embeddings"),
        value_bytes=VALUE_BYTES.get(str(text.get("dtype") or text.get("torch_dtype")), 2.0),
        layers_sliding=_sliding(text, layers),
        window_tokens=_number(text, "sliding_window"),
        is_quantized=bool(config.get("quantization_config")),
    )


def _sliding(text: Mapping[str, Any], layers: int) -> int:
    """How many layers have a window: those that the config lists, or all but every n-th."""
    if kinds := text.get("layer_types"):
        return sum(kind == "sliding_attention" for kind in kinds)
    pattern = _number(text, "sliding_window_pattern")
    return layers - layers // pattern if pattern else 0


def _memory(arguments: Mapping[str, ArgumentValue], device: Device) -> int:
    """Return the memory the engine may use; on a GPU it fills all of it with cache."""
    if device.kind is DeviceKind.CPU:
        return int(device.memory_bytes * CPU_SHARE_MAX)
    return int(device.memory_bytes * float(arguments.get("gpu-memory-utilization", GPU_UTILIZATION_DEFAULT)))


def _overhead(device: Device) -> int:
    return CPU_OVERHEAD_BYTES if device.kind is DeviceKind.CPU else GPU_OVERHEAD_BYTES


def _weights(shape: ModelShape, arguments: Mapping[str, ArgumentValue]) -> int:
    method = str(arguments.get("quantization", ""))
    if method not in QUANTIZED_BYTES or shape.value_bytes <= QUANTIZED_BYTES[method]:
        return _in_dtype(shape, arguments)
    smaller = QUANTIZED_SHARE * QUANTIZED_BYTES[method] / shape.value_bytes + (1 - QUANTIZED_SHARE)
    return int(shape.weights_bytes * smaller)


def _in_dtype(shape: ModelShape, arguments: Mapping[str, ArgumentValue]) -> int:
    """The weights as they are loaded, which may be wider or narrower than they were published."""
    loaded_bytes = VALUE_BYTES.get(str(arguments.get("dtype", "")), shape.value_bytes)
    return shape.weights_bytes if shape.is_quantized else int(shape.weights_bytes * loaded_bytes / shape.value_bytes)


def _tokens_in(left_bytes: int, shape: ModelShape, value_bytes: float) -> int:
    """Return the longest request whose cache fits, rounded down to a step."""
    if left_bytes <= 0 or not shape.kv_bytes(1, value_bytes):
        return 0
    tokens = 0
    while tokens + TOKENS_STEP <= shape.context_tokens:
        if shape.kv_bytes(tokens + TOKENS_STEP, value_bytes) > left_bytes:
            break
        tokens += TOKENS_STEP
    return tokens


def _number(config: Mapping[str, Any], name: str) -> int:
    value = config.get(name)
    return value if isinstance(value, int) else 0


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
