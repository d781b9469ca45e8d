"""runners: what each device does; take one out of service, and put it back."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from vbatch.cli.api_types import DeviceMemoryList, DeviceProcess, Drain, Runner, RunnerList
from vbatch.cli.option_groups import command
from vbatch.cli.options import err, out, print_table, table_of
from vbatch.cli.server_options import ServerOptions
from vbatch.contracts.event_text import size

RunnerArgument = Annotated[str, typer.Argument(metavar="RUNNER", help="The runner's id, as `list` shows it.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why, for everybody who looks at the runners.")]

app = typer.Typer(help="Runners: list, memory, drain, unload, restart, resume.", no_args_is_help=True)


@app.command("list")
@command
def list_runners(*, server: ServerOptions) -> None:
    """List the runners: what each has loaded, and whether it is drained."""
    server.show(server.ask(lambda gateway: gateway.ask("GET", "/v1/runners")), RunnerList, _show)


@app.command()
@command
def memory(*, server: ServerOptions) -> None:
    """List the processes that hold memory of each device. Needs an admin key."""
    answer = server.ask(lambda gateway: gateway.ask("GET", "/v1/admin/runners/memory"))
    server.show(answer, DeviceMemoryList, _show_memory)


@app.command()
@command
def drain(runner: RunnerArgument, reason: Reason = None, *, server: ServerOptions) -> None:
    """Let a runner finish what is inside its engine and take nothing new. Its model stays loaded."""
    _ask(server, runner, "drain", "takes nothing new until you resume it.", reason)


@app.command()
@command
def unload(runner: RunnerArgument, reason: Reason = None, *, server: ServerOptions) -> None:
    """Drain a runner and then free the memory of its device, until you resume it."""
    _ask(server, runner, "unload", "finishes what it runs and frees its device until you resume it.", reason)


@app.command()
@command
def restart(runner: RunnerArgument, reason: Reason = None, *, server: ServerOptions) -> None:
    """Drain a runner and then restart its process."""
    _ask(server, runner, "restart", "finishes what it runs and restarts.", reason)


@app.command()
@command
def resume(runner: RunnerArgument, *, server: ServerOptions) -> None:
    """Let a drained runner take work again."""
    _ask(server, runner, "resume", "takes work again.", None)


def _ask(server: ServerOptions, runner: str, verb: str, said: str, reason: str | None) -> None:
    path = f"/v1/admin/runners/{quote(runner, safe='')}/{verb}"
    body = {"reason": reason} if reason else None
    answer = server.ask(lambda gateway: gateway.ask("POST", path, body))
    server.show(answer, object, lambda _answer: err.print(f"{runner} {said}", markup=False))


def _show(found: RunnerList) -> None:
    if not found.data:
        out.print("No runner has started yet.")
        return
    table = table_of("runner", "state", "model", "device", "memory", "drain", numbers=("memory",))
    for runner in found.data:
        table.add_row(*_cells(runner))
    print_table(table)


def _cells(runner: Runner) -> tuple[str, ...]:
    drained = _drain_words(runner.drain) if runner.drain else ""
    return (runner.id, runner.state, runner.model or "", runner.device, size(runner.memory_bytes), drained)


def _drain_words(drain: Drain) -> str:
    """Return `unload, done, by local (a game)`."""
    why = f" ({drain.reason})" if drain.reason else ""
    return f"{drain.goal}, {'done' if drain.done_at else 'not done yet'}, by {drain.by}{why}"


def _show_memory(found: DeviceMemoryList) -> None:
    for runner in found.data:
        if runner.processes is None:
            out.print(f"{runner.runner_id}: its device does not tell.", markup=False)
        elif not runner.processes:
            out.print(f"{runner.runner_id}: no process holds memory of its device.", markup=False)
        else:
            _show_processes(runner.runner_id, runner.processes)


def _show_processes(runner_id: str, processes: list[DeviceProcess]) -> None:
    table = table_of("runner", "process", "name", "memory", "", numbers=("process", "memory"))
    for process in processes:
        held = "unknown" if process.memory_bytes is None else size(process.memory_bytes)
        table.add_row(runner_id, str(process.pid), process.name, held, "its engine" if process.is_ours else "other")
    print_table(table)
