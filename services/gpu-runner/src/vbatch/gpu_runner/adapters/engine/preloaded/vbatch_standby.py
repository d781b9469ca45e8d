"""Imports an engine's code ahead of its turn, waits for one order on stdin, and runs the engine without a new import.

Run by the engine's Python, standard library only: `python -c "import vbatch_standby; vbatch_standby.main()" PLAN`, with
this folder on PYTHONPATH. A fork server holds the imported modules. The engine's own process is forked from it. So is
each process that the engine asks to spawn (vLLM: EngineCore and its workers), which would otherwise import everything
again. The engine itself is not changed, only the meaning of "spawn" in `multiprocessing` in these processes.

PLAN is JSON: the `modules` to import, the `niceness` for that, the `threads` environment that OpenMP reads when it is
loaded, and the `folder` for the fork server's socket. The order is one line of JSON: the `module` to run as a program,
its `arguments`, and the `environment` to set first. At the end of input without an order, the process exits.
"""

from __future__ import annotations

import ctypes
import glob
import importlib.util
import json
import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing import context, forkserver
from typing import Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h
IMPORTS_VARIABLE, NICENESS_VARIABLE = "VBATCH_STANDBY_IMPORTS", "VBATCH_STANDBY_NICENESS"
"""The same names as in `vbatch_fork_server`, which only the fork server may import."""
CORES_VARIABLE = "GOMP_CPU_AFFINITY"
"""This is set only in the environment of a worker, which keeps the cores that OpenMP bound it to when it was loaded."""


class PreloadedProcess(context.ForkServerProcess):
    """A process forked from the one that has imported everything, with its parent's current environment."""

    _target: Callable[..., object] | None
    _args: tuple[Any, ...]
    _kwargs: dict[str, Any]

    def start(self) -> None:
        self._args = (dict(os.environ), self._target, self._args, self._kwargs)
        self._target, self._kwargs = run_forked, {}
        super().start()


class PreloadedContext(context.ForkServerContext):
    """The result of `multiprocessing.get_context("spawn")` in these processes."""

    _name = "spawn"
    Process = PreloadedProcess


def main() -> None:
    plan = json.loads(sys.argv[1])
    tempfile.tempdir = plan["folder"]  # multiprocessing keeps its sockets here, also in forked processes
    start_fork_server(plan["modules"], plan["threads"], plan["niceness"])
    tempfile.tempdir = None
    line = sys.stdin.readline()
    if not line:
        return  # the runner has ended, or no longer wants this process
    order = json.loads(line)
    os.environ.update(order["environment"])
    engine = PreloadedProcess(target=serve, args=(order["module"], order["arguments"]))
    engine.start()
    engine.join()
    code = engine.exitcode or 0
    sys.exit(code if code >= 0 else 128 - code)


def start_fork_server(modules: list[str], threads: Mapping[str, str], niceness: int) -> None:
    """Start the fork server with the `threads` environment, which OpenMP reads when it is loaded. The engine's
    processes do not get it, except the worker, for which vLLM sets the same values again."""
    if threads:
        os.environ.update(threads)
        os.environ.update(openmp_preloaded())
    os.environ[IMPORTS_VARIABLE] = ",".join(modules)
    os.environ[NICENESS_VARIABLE] = str(niceness)
    forkserver.set_forkserver_preload(["vbatch_fork_server", __name__])
    forkserver.ensure_running()
    for name in (IMPORTS_VARIABLE, NICENESS_VARIABLE, *threads):
        del os.environ[name]


def openmp_preloaded() -> dict[str, str]:
    """Preload PyTorch's libgomp, as vLLM does for its workers: otherwise bound threads share one core."""
    torch = importlib.util.find_spec("torch")
    if torch is None or torch.origin is None or os.environ.get("LD_PRELOAD"):
        return {}
    home = os.path.dirname(torch.origin)
    found = [*glob.glob(f"{home}/../torch.libs/libgomp*.so*"), *glob.glob(f"{home}/lib/libgomp*.so*")]
    return {"LD_PRELOAD": found[0]} if found else {}


def run_forked(
    environment: Mapping[str, str], target: Callable[..., object], arguments: tuple[Any, ...], named: dict[str, Any]
) -> None:
    """Run `target` in a forked process as in a spawned one, and end when the fork server does."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    os.environ.clear()
    os.environ.update(environment)
    if CORES_VARIABLE not in environment:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    spawn_by_fork()
    target(*arguments, **named)


def spawn_by_fork() -> None:
    """Make "spawn" use the fork server that this process came from; otherwise it would start one of its own."""
    context._concrete_contexts["spawn"] = PreloadedContext()  # type: ignore[attr-defined]  # not in the stubs
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign]  # it runs: we are its child


def serve(module: str, arguments: list[str]) -> None:
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
