"""Run the simulator: `python -m vbatch.gpu_runner.simulated --uds PATH --model ID`."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import subprocess
import sys
import time

import uvloop

from vbatch.gpu_runner.simulated.options import Options, parse
from vbatch.gpu_runner.simulated.server import out_of_memory, serve

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"


def main() -> None:
    options = parse(sys.argv[1:])
    sys.stderr.write(f"simulated engine for {options.model}: its answers are made up\n")
    if options.fork_grandchild:
        subprocess.Popen([sys.executable, "-I", "-S", "-c", STUBBORN], start_new_session=True)
    time.sleep(options.startup_seconds)
    if options.fail_to_start or (options.fail_when_forked and multiprocessing.parent_process()):
        sys.exit("simulated: failing to start, as asked for")
    if options.memory_seqs and options.max_num_seqs > options.memory_seqs:
        sys.exit(out_of_memory(options.max_num_seqs))
    uvloop.run(_run(options))


async def _run(options: Options) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(options, stop)


if __name__ == "__main__":
    main()
