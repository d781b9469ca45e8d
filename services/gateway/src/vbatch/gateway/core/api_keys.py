"""The key file: it holds only the SHA-256 of each key, and the name of a key is the owner of what is made with it.

Once the log holds a key (`core.access`), the file no longer counts.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping

from vbatch.contracts.ids import OwnerId

LOCAL_OWNER = OwnerId("local")
_ENTRY = re.compile(r"([A-Za-z0-9_.-]{1,64})[ \t]+([0-9a-f]{64})")


class BadKeyFile(ValueError):
    """The text names the line that is not `<name> <sha256 of the key, 64 hex digits>`."""


class ApiKeys:
    """Maps each digest to its owner."""

    def __init__(self, owners: Mapping[str, OwnerId]) -> None:
        self.owners = owners

    @property
    def are_required(self) -> bool:
        return bool(self.owners)


NO_KEYS = ApiKeys({})


def digest_of(key: str) -> str:
    """Return the SHA-256 of a key. A slow hash is not needed: our keys have 190 bits, more than anyone can try."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_in(authorization: str) -> str:
    """Return the token after `Bearer`, or the password (else the name) after `Basic`; empty if there is no key."""
    scheme, _, credentials = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return credentials.strip()
        case "basic":
            name, _, password = _decoded(credentials).partition(":")
            return password or name
        case _:
            return ""


def _decoded(credentials: str) -> str:
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode()
    except ValueError:
        return ""


def read_key_file(text: str) -> ApiKeys:
    """Parse one key per line: a name, blanks, the key's SHA-256 in hex. Blank lines and lines that start with `#` are
    skipped."""
    owners: dict[str, OwnerId] = {}
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    for number, entry in ((number, line) for number, line in lines if line and not line.startswith("#")):
        match = _ENTRY.fullmatch(entry)
        if match is None or match[2] in owners:
            raise BadKeyFile(f"line {number}: expected '<name> <sha256 of the key, 64 hex digits>', each key once")
        owners[match[2]] = OwnerId(match[1])
    if not owners:
        raise BadKeyFile("holds no key")
    return ApiKeys(owners)
