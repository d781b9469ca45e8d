"""A secret that the services of one state folder share. The first service that needs it creates it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from vbatch.chassis.files import sync_folder, write_atomically

TOKEN_BYTES = 32
TOKEN_CHARS_MAX = 256


def provided_token(path: Path) -> str:
    """Return the token in this file, which is created if it is missing. If several processes try, the first one wins.

    Raises OSError if the file can be neither read nor created, and ValueError for a file that holds no token.
    """
    if not path.exists():
        _make(path)
    token = path.read_text().strip()
    if not token or len(token) > TOKEN_CHARS_MAX or not token.isascii():
        raise ValueError(f"{path} holds no token: remove the file, and the next start makes another")
    return token


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = path.parent / f".{path.name}.{os.urandom(8).hex()}"
    write_atomically(made, secrets.token_hex(TOKEN_BYTES).encode())
    try:
        path.hardlink_to(made)
    except FileExistsError:
        pass  # another process was faster
    finally:
        made.unlink()
    sync_folder(path.parent)
