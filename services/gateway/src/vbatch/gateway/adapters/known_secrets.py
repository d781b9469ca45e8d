"""The secrets that this process can see, so that its output can be searched for them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from vbatch.chassis.settings import ServiceSettings

SECRET_BYTES_MAX = 4_096
FILES_MAX = 1_000


def known_secrets(settings: ServiceSettings) -> list[str]:
    """Return the secrets, longest first, because one may be part of another. Blocks: call it in a thread."""
    fields = (getattr(settings, name) for name in type(settings).model_fields)
    told = [value.get_secret_value() for value in fields if isinstance(value, SecretStr)]
    passwords = [_password(text) for text in told]
    files = [settings.lane_token_path, *sorted((settings.home / "secrets").rglob("*"))[:FILES_MAX]]
    return sorted(filter(None, {*told, *passwords, *_in_files(files)}), key=len, reverse=True)


def _in_files(paths: Iterable[Path]) -> list[str]:
    found: list[str] = []
    for path in paths:
        with suppress(OSError, UnicodeDecodeError):
            if path.is_file() and path.stat().st_size <= SECRET_BYTES_MAX:
                found += [line.strip() for line in path.read_text().splitlines()]
    return found


def _password(url: str) -> str:
    """Return the password of `scheme://user:password@host`; empty if there is none."""
    user_part = url.partition("://")[2].rpartition("@")[0]
    return user_part.partition(":")[2]
