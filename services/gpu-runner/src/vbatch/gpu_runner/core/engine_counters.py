"""What vLLM reports about itself on its own `/metrics`. Its names change between releases, so only this module has
them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

GAUGES = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
COUNTERS = (
    "prompt_tokens",
    "generation_tokens",
    "prefix_cache_queries",
    "prefix_cache_hits",
    "num_preemptions",
)
_SAMPLE = re.compile(rf"^vllm:({'|'.join((*GAUGES, *COUNTERS))})(?:_total)?(?:\{{[^\n]*\}})? (\S+)".encode(), re.M)


@dataclass(frozen=True, slots=True)
class EngineCounters:
    """`values` are summed over the engines behind one address; the KV cache usage is that of the fullest one. A name
    that the engine does not report is absent."""

    values: Mapping[str, float]


def engine_counters_in(exposition: bytes) -> EngineCounters:
    """Parse the counters from an engine's Prometheus text."""
    values: dict[str, float] = {}
    for raw_name, raw_value in _SAMPLE.findall(exposition):
        name, value = raw_name.decode(), float(raw_value)
        is_share = name == "kv_cache_usage_perc"
        values[name] = max(values.get(name, 0.0), value) if is_share else values.get(name, 0.0) + value
    return EngineCounters(values)
