"""Installs the pinned uv and go-task into a folder, with pip and from hashes. It installs nothing else and nothing
system-wide.

It runs on whatever Python 3 a fresh machine has, so it uses the standard library only. Debian separates pip from its
Python: if pip is missing, Debian's own package of it is unpacked into a temporary folder, which needs no root.
"""

from __future__ import annotations

import fcntl
import filecmp
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PIP_WHEEL_FOLDER = Path("usr/share/python-wheels")
STEP_SECONDS_MAX = 600


class InstallError(Exception):
    """A step failed. The message says what to do."""


def main(arguments: list[str]) -> int:
    """Install what the lock file (first argument) pins into the tools folder (second)."""
    lock, tools = (Path(argument).resolve() for argument in arguments)
    try:
        install(lock, tools)
    except InstallError as error:
        say(str(error))
        return 1
    return 0


def install(lock: Path, tools: Path) -> None:
    """Make `tools/bin` match the lock file, even if another process tries the same at this moment."""
    tools.mkdir(parents=True, exist_ok=True)
    with held_alone(tools / "lock"), tempfile.TemporaryDirectory(dir=tools) as scratch:
        if is_installed(lock, tools):
            return
        staging = Path(scratch) / "tools"
        say(f"fetching {', '.join(pinned_names(lock))} into {tools} (once)")
        pip_install(lock, staging, pip_path=find_pip(Path(scratch)))
        (tools / "tools.lock").unlink(missing_ok=True)
        shutil.rmtree(tools / "bin", ignore_errors=True)
        (staging / "bin").rename(tools / "bin")
        shutil.copyfile(lock, tools / "tools.lock")


@contextmanager
def held_alone(path: Path) -> Iterator[None]:
    """Hold an advisory lock: two first runs at once must not rename over each other."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def is_installed(lock: Path, tools: Path) -> bool:
    """Return whether the tools are those of this lock file. Its copy is written last."""
    stamp = tools / "tools.lock"
    return stamp.exists() and filecmp.cmp(lock, stamp, shallow=False)


def pinned_names(lock: Path) -> list[str]:
    """Return the `name==version` pins of a requirements file with hashes."""
    return [line.split()[0] for line in lock.read_text().splitlines() if line[:1].isalnum()]


def pip_install(lock: Path, target: Path, *, pip_path: Path | None) -> None:
    """Let pip choose the wheels for this platform and refuse any whose hash is not in the lock file."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--require-hashes", "--requirement", str(lock), "--target", str(target)]
    run(
        command,
        environment=pip_environment(os.environ, pip_path),
        advice="is the package index reachable? PIP_INDEX_URL names a mirror, HTTPS_PROXY a proxy; then run this again",
    )


def pip_environment(given: Mapping[str, str], pip_path: Path | None) -> dict[str, str]:
    """Return the caller's environment without what would stop `--target`, plus uv's index for pip and the location of
    pip itself."""
    environment = {**given, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_ROOT_USER_ACTION": "ignore"}
    index = given.get("UV_DEFAULT_INDEX") or given.get("UV_INDEX_URL")
    if index:
        environment.setdefault("PIP_INDEX_URL", index)
    if pip_path:
        environment["PYTHONPATH"] = str(pip_path)
    return environment


def find_pip(scratch: Path) -> Path | None:
    """Return where to import pip from, or None if this Python has its own."""
    if importlib.util.find_spec("pip"):
        return None
    return newest_pip_wheel(bundled_wheel_folders()) or unpack_debian_pip(scratch)


def bundled_wheel_folders() -> list[Path]:
    """Return folders where a Python without pip may still keep a pip wheel: its ensurepip, or Debian's."""
    folders = [Path("/") / PIP_WHEEL_FOLDER]
    if ensurepip := importlib.util.find_spec("ensurepip"):
        folders.insert(0, Path(ensurepip.origin or "").parent / "_bundled")
    return folders


def newest_pip_wheel(folders: list[Path]) -> Path | None:
    """Return the last pip wheel, by name, of the first folder that has one."""
    for folder in folders:
        if wheels := sorted(folder.glob("pip-*.whl")):
            return wheels[-1]
    return None


def unpack_debian_pip(scratch: Path) -> Path:
    """Download Debian's package of the pip wheel with apt's state in `scratch`, so that no root is needed."""
    if not shutil.which("apt-get"):
        raise InstallError(
            f"{sys.executable} has no pip: install pip for it (python -m ensurepip, or the system's package)"
        )
    say("this Python has no pip: unpacking Debian's python3-pip-whl for this run (nothing is installed)")
    for folder in ("state/lists/partial", "cache/archives/partial", "pip"):
        (scratch / folder).mkdir(parents=True)
    advice = "could not fetch pip from Debian's mirrors; as root: apt-get install python3-pip, then run this again"
    run([*apt_get(scratch), "update"], cwd=scratch, advice=advice)
    run([*apt_get(scratch), "download", "python3-pip-whl"], cwd=scratch, advice=advice)
    for package in scratch.glob("*.deb"):
        run(["dpkg-deb", "--extract", str(package), str(scratch / "pip")], advice=advice)
    wheel = newest_pip_wheel([scratch / "pip" / PIP_WHEEL_FOLDER])
    if wheel is None:
        raise InstallError(advice)
    return wheel


def apt_get(scratch: Path) -> list[str]:
    """Return an apt-get command that writes every folder in `scratch`. Its sources and keys stay the system's."""
    options = {
        "Dir::State": scratch / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": scratch / "cache",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",
    }
    return ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]


def run(command: list[str], *, advice: str, environment: dict[str, str] | None = None, cwd: Path | None = None) -> None:
    """Run one step with its output on stderr: stdout belongs to the task that comes after."""
    try:
        subprocess.run(command, env=environment, cwd=cwd, stdout=sys.stderr, timeout=STEP_SECONDS_MAX, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise InstallError(f"{Path(command[0]).name} failed ({error.__class__.__name__}): {advice}") from error


def say(line: str) -> None:
    """Print one line of progress."""
    sys.stderr.write(f"taskw: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
