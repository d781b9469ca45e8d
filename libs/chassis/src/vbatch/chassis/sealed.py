"""Small secrets at rest: each is in a file of its own, encrypted with one key that is stored beside them (AES-256-GCM).

Encryption keeps them out of backups of single files and out of sight. A user who can read the whole folder can read
them.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vbatch.chassis.files import sync_folder, write_atomically

KEY_NAME = "key"
NONCE_BYTES = 12
SECRET_BYTES_MAX = 4_096


class SecretLost(Exception):
    """The secret, or the key it is sealed with, is gone or damaged. Create a new secret."""


class SealedFolder:
    """Every method blocks. References are file names, so they come from this program and not from users."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, reference: str, secret: bytes) -> None:
        """Store the secret. It is durable when this returns."""
        if len(secret) > SECRET_BYTES_MAX:
            raise ValueError(f"a secret of {len(secret)} bytes; at most {SECRET_BYTES_MAX} are kept")
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self._provided_key()).encrypt(nonce, secret, reference.encode())
        write_atomically(self._folder / reference, nonce + sealed)

    def read(self, reference: str) -> bytes:
        """Return the secret. Raises SecretLost."""
        try:
            content = (self._folder / reference).read_bytes()
            cipher = AESGCM((self._folder / KEY_NAME).read_bytes())
            return cipher.decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], reference.encode())
        except (OSError, ValueError, InvalidTag) as error:
            raise SecretLost(f"the secret {reference} cannot be read: {type(error).__name__}") from error

    def forget(self, reference: str) -> None:
        """Remove the secret. A secret that does not exist counts as removed."""
        (self._folder / reference).unlink(missing_ok=True)

    def _provided_key(self) -> bytes:
        """Return the key, which is created once. If several processes try at the same time, the first wins."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / KEY_NAME
        if not path.exists():
            self._make_key(path)
            sync_folder(self._folder)
        return path.read_bytes()

    def _make_key(self, path: Path) -> None:
        made = self._folder / f".{KEY_NAME}.{os.urandom(8).hex()}"
        write_atomically(made, AESGCM.generate_key(bit_length=256))
        try:
            path.hardlink_to(made)
        except FileExistsError:
            pass  # another process was faster
        finally:
            made.unlink()
