"""Packages that only some formats need. They are imported when they are used. If one is missing, the error says how to
install it."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from vbatch.client.errors import PackageMissing

EXTRAS = {"pyarrow": "tables", "pandas": "pandas", "polars": "polars"}


def package(name: str, purpose: str) -> ModuleType:
    """Import a module, such as `pyarrow.parquet`. Raises PackageMissing; its message begins with `purpose`."""
    distribution = name.split(".")[0]
    try:
        return import_module(name)
    except ImportError as error:
        raise PackageMissing(
            f"{purpose} needs {distribution}, which is not installed. Install it with: pip install {distribution} (it "
            f"also comes with vbatch-client[{EXTRAS[distribution]}])."
        ) from error
