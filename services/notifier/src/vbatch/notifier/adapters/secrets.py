"""The signing secrets, which the gateway has sealed in the state folder."""

from __future__ import annotations

from vbatch.chassis.sealed import SealedFolder, SecretLost
from vbatch.notifier.ports import SecretMissing


class SealedSecrets:
    """Implements ports.Secrets."""

    def __init__(self, folder: SealedFolder) -> None:
        self._folder = folder

    def read(self, reference: str) -> bytes:
        try:
            return self._folder.read(reference)
        except SecretLost as error:
            raise SecretMissing(str(error)) from error
