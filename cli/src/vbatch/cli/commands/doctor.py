"""doctor: what this machine is suited for, and what to change about it."""

from __future__ import annotations

import msgspec

from vbatch.chassis.files import write_atomically
from vbatch.chassis.settings import BadSettings, load
from vbatch.cli.doctor.findings import Finding, Level, findings
from vbatch.cli.doctor.page import show, show_fixes, verdict
from vbatch.cli.doctor.reading import read_machine
from vbatch.cli.exits import Exit, Misused, ending
from vbatch.cli.moving import moving_line
from vbatch.cli.options import AsJson, err, local_settings, out, print_json
from vbatch.gpu_runner.settings import RunnerSettings
from vbatch.local.settings import LocalSettings

USUAL_SECONDS = 2.0
SEEN_NAME = "doctor.json"


def doctor(as_json: AsJson = False) -> None:
    """Check this machine: which models run well here, and what to change. The exit code is 1 if something must be
    fixed."""
    with ending():
        settings = local_settings()
        with moving_line(err, "looking at this machine", USUAL_SECONDS):
            found = look(settings)
        if as_json:
            print_json(_document(found))
        else:
            show(found, out)
        if any(finding.level is Level.BAD for finding in found):
            raise SystemExit(int(Exit.FAILED))


def first_look(settings: LocalSettings) -> None:
    """Once per state folder, print what should be changed to stderr. `vbatch doctor` prints the whole page."""
    seen = settings.home / SEEN_NAME
    if seen.exists():
        return
    with moving_line(err, "looking at this machine", USUAL_SECONDS):
        found = look(settings)
    show_fixes(found, err)
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(seen, _document(found))


def look(settings: LocalSettings) -> list[Finding]:
    """Return the findings about this machine. Raises Misused."""
    try:
        return findings(read_machine(settings, load(RunnerSettings)))
    except BadSettings as error:
        raise Misused(str(error)) from error


def _document(found: list[Finding]) -> bytes:
    return msgspec.json.encode({"verdict": verdict(found), "findings": found})
