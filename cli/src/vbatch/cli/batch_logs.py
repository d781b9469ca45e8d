"""What all services of the stack on this machine logged about one batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from vbatch.chassis.log_files import Gathered, LogLine, lines_about
from vbatch.cli.exits import CommandError, Misused
from vbatch.cli.options import err, out, print_json

ID_CHARS_MIN = 8
"""A shorter word would be found in every line."""


def show_batch_logs(home: Path, batch_id: str, lines_max: int, *, as_json: bool) -> None:
    """Print the logs of a batch. Raises Misused if the text is not a batch id, CommandError if there is nothing to
    read."""
    if not batch_id.startswith("batch_") or len(batch_id) < ID_CHARS_MIN:
        raise Misused(f"{batch_id} is not the id of a batch: ids begin with batch_ (`vbatch batches` lists them).")
    folder = home / "logs"
    if not folder.is_dir():
        raise CommandError(f"There are no logs in {folder}: this machine's stack was never started. See VBATCH_HOME.")
    found = lines_about(folder, batch_id, lines_max=lines_max)
    _print_lines(found, batch_id, as_json=as_json)
    if not found.lines:
        err.print(f"No service said anything of {batch_id} in the logs of {folder}.", markup=False)


def _print_lines(found: Gathered, batch_id: str, *, as_json: bool) -> None:
    if found.has_more:
        err.print(f"The newest {len(found.lines)} lines; there are older ones (--lines).", markup=False)
    for line in found.lines:
        if as_json:
            print_json(msgspec.json.encode(line))
        else:
            out.print(forecast(line, batch_id), markup=False)


def forecast(line: LogLine, batch_id: str) -> str:
    """Return one line for people: when, which service, how severe, what, and its details without the id that all lines
    share."""
    details = _details(line.details, batch_id)
    return f"{line.time}  {line.service:<10}  {line.level:<7}  {line.event}  {details}".rstrip()


def _details(details: Mapping[str, object], batch_id: str) -> str:
    others = {name: value for name, value in details.items() if name != "batch_id"}
    return " ".join(f"{name}={str(value).removeprefix(f'{batch_id}:')}" for name, value in others.items())
