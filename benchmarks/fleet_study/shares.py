"""How the rate grows with the replicas, and how many prefixes they find in their caches beside one replica alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.fleet_study.runs import TOKENS_MAX, TOKENS_MIN, Part, Run, about, run, stack_before, varied
from tests.support.fleet import Server, servers
from tests.support.prefix_cache import BLOCK_BYTES, hit_share, question_major
from vbatch.gpu_runner.simulated.server import digest

COUNTS = (1, 2, 4, 8)
SEQS, LATENCY_SECONDS, TOKEN_SECONDS = 16, 0.1, 0.005
SPEED = ("--max-num-seqs", f"{SEQS}", "--latency-seconds", f"{LATENCY_SECONDS}", "--token-seconds", f"{TOKEN_SECONDS}")
MEAN_SECONDS = LATENCY_SECONDS + TOKEN_SECONDS * (TOKENS_MIN + TOKENS_MAX) / 2
SCALING_SECONDS = 30
"""Every number of replicas gets as much work as it can do in this time."""
DOCUMENTS, QUESTIONS, ANSWER_TOKENS = 256, 4, 8
CACHE_SHARE = 0.125
"""The cache of each replica, as a share of all documents."""
REPLICAS = 4


def scaling(folder: Path) -> Part:
    """Requests a second of whole batches, and the rate of the largest fleet as a share of its replicas' rates alone."""
    runs = {count: _scaled(folder / f"{count}", count) for count in COUNTS}
    rates = {count: done.rate for count, done in runs.items()}
    figures = {f"efficiency_at_{count}": round(rate / (count * rates[1]), 3) for count, rate in rates.items()}
    listed = [round(rate, 1) for rate in rates.values()]
    return Part({"requests_per_second_1_2_4_8": listed, **figures}, list(runs.values()))


def _scaled(folder: Path, count: int) -> Run:
    folder.mkdir()
    requests = int(count * SCALING_SECONDS * SEQS / MEAN_SECONDS)
    with servers(folder, count, *SPEED) as made, stack_before(made, SEQS, folder) as stack:
        return run(stack, varied(requests))


def prefixes(folder: Path) -> Part:
    """The share of prompt blocks in the caches of four replicas, relative to the share in the cache of one."""
    texts = question_major(DOCUMENTS, QUESTIONS)
    bodies = about(texts, ANSWER_TOKENS)
    prompts = {digest(body): text.encode() for body, text in zip(bodies, texts, strict=True)}
    shares, runs = {}, []
    for count in (1, REPLICAS):
        place = folder / f"{count}"
        place.mkdir()
        with servers(place, count, *SPEED) as made:
            with stack_before(made, SEQS, place) as stack:
                runs.append(run(stack, bodies))
            shares[count] = _hits(made, prompts)
    figures = {
        "prefix_hit_vs_one_replica": round(shares[REPLICAS] / shares[1], 3),
        "prefix_hit_share_1_replica": round(shares[1], 3),
        f"prefix_hit_share_{REPLICAS}_replicas": round(shares[REPLICAS], 3),
    }
    return Part(figures, runs)


def _hits(made: Sequence[Server], prompts: Mapping[str, bytes]) -> float:
    """The share over all replicas, each with a cache of its own; all prompts are about equally long."""
    blocks = int(CACHE_SHARE * DOCUMENTS * len(next(iter(prompts.values()))) / BLOCK_BYTES)
    orders = [server.order("started") for server in made]
    hits = [hit_share((prompts[name] for name in order), blocks) * len(order) for order in orders]
    return sum(hits) / sum(map(len, orders))
