"""`python -m vbatch.local.run NAME` becomes one program of the local stack, as supervisord would start it.

It is for service managers of the machine, such as systemd. `prepare` creates the folders, keys and the database first.
"""

import os
import sys

from vbatch.chassis.settings import STACK_VARIABLE, load_or_exit
from vbatch.local import programs
from vbatch.local.commands import LocalTrouble
from vbatch.local.settings import LocalSettings

PREPARE = "prepare"
EXIT_TROUBLE = 1


def main() -> None:
    """Become the program. Does not return on success; exits with 1 and the reason otherwise."""
    settings = load_or_exit(LocalSettings)
    try:
        if sys.argv[1] == PREPARE:
            programs.prepare(settings)
        else:
            become(program_named(sys.argv[1], programs.programs(settings)))
    except LocalTrouble as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EXIT_TROUBLE) from error


def program_named(name: str, known: list[programs.Program]) -> programs.Program:
    """Return the program of that name. Raises LocalTrouble, which lists the valid names."""
    for program in known:
        if program.name == name:
            return program
    raise LocalTrouble(f"no program {name!r} in this stack; there are {', '.join(each.name for each in known)}")


def become(program: programs.Program) -> None:
    """Replace this process. It does not carry the stack's mark, so `vbatch up` and `down` leave it to its service
    manager."""
    environment = {**os.environ, **program.command.env, **program.environment}
    environment.pop(STACK_VARIABLE, None)
    os.execvpe(program.command.argv[0], list(program.command.argv), environment)


if __name__ == "__main__":
    main()
