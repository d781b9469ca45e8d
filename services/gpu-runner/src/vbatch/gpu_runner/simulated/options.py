"""The command line of the simulator."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`latency_seconds` applies to each request, `token_seconds` is added for each token of its answer.

    Faults: `garbage_after_wakes` imitates what sleep mode has done to vLLM. `fail_to_start` exits before it listens,
    `fail_when_forked` does so only if a standby was to become the engine. `crash_after` kills the process when that
    many requests have come. `fork_grandchild` starts a process in a session of its own that ignores SIGTERM, as
    EngineCore outlives its parent. `memory_seqs` is how many requests at once fit in memory: an engine told to run more
    does not start. `work_log` names a file that outlives the engine, so that a test can see which requests ran twice
    and how many were inside at once.
    """

    model: str
    uds: str | None
    host: str
    port: int
    max_num_seqs: int
    running_max: int
    resize_to: int
    resize_after_seconds: float
    startup_seconds: float
    latency_seconds: float
    token_seconds: float
    answer_tokens: int
    crash_after: int
    fail_to_start: bool
    fail_when_forked: bool
    fork_grandchild: bool
    enable_sleep_mode: bool
    garbage_after_wakes: int
    memory_bytes: int
    memory_seqs: int
    waiting_max: int
    work_log: str | None


def parse(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m vbatch.gpu_runner.simulated", description=__doc__)
    parser.add_argument("--model", default="simulated", help="the one model that is served")
    parser.add_argument("--uds", help="listen on this Unix socket instead of host and port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--max-num-seqs", type=int, default=128, help="requests that run at once; others queue")
    parser.add_argument("--running-max", type=int, default=0, help="that fit its cache at once, if fewer; 0: all fit")
    parser.add_argument("--resize-to", type=int, default=0, help="requests that run at once later; 0: no change")
    parser.add_argument("--resize-after-seconds", type=float, default=0.0, help="from the first request to --resize-to")
    parser.add_argument("--startup-seconds", type=float, default=0.0, help="before it listens")
    parser.add_argument("--latency-seconds", type=float, default=0.0, help="of every request")
    parser.add_argument("--token-seconds", type=float, default=0.0, help="of every token of the answer")
    parser.add_argument("--answer-tokens", type=int, default=16, help="at most, where a request names no limit")
    parser.add_argument("--crash-after", type=int, default=0, help="die on this request; 0: never")
    parser.add_argument("--fail-to-start", action="store_true", help="exit with an error instead of serving")
    parser.add_argument("--fail-when-forked", action="store_true", help="the same, but only from a standby")
    parser.add_argument("--fork-grandchild", action="store_true", help="start a process that will not go by itself")
    parser.add_argument(
        "--memory-seqs", type=int, default=0, help="no memory for more at once; 0: for any number, -1: for none"
    )
    parser.add_argument("--enable-sleep-mode", action="store_true", help="serve /sleep, /wake_up and /is_sleeping")
    parser.add_argument("--garbage-after-wakes", type=int, default=0, help="answer rubbish from this wake on; 0: never")
    parser.add_argument("--memory-bytes", type=int, default=0, help="what it claims to take of the device")
    parser.add_argument("--waiting-max", type=int, default=-1, help="that queue; others get 429; -1: all queue")
    parser.add_argument("--work-log", help="append `TIME started|answered DIGEST INSIDE` here for each request")
    return Options(**vars(parser.parse_args(arguments)))
