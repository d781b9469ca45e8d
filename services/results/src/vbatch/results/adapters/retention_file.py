"""The retention policy in a file, which may be absent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vbatch.results.core.retention import POLICY_BYTES_MAX, BadRetention, RetentionPolicy, read_policy


@dataclass(frozen=True)
class RetentionFile:
    path: Path

    def read(self) -> RetentionPolicy:
        """The policy; a policy without rules if there is no file. Raises BadRetention."""
        try:
            return read_policy(self._content().decode())
        except FileNotFoundError:
            return RetentionPolicy()
        except (OSError, UnicodeDecodeError) as error:
            raise BadRetention(f"{self.path} cannot be read: {error}") from error
        except BadRetention as error:
            raise BadRetention(f"{self.path}: {error}") from error

    def _content(self) -> bytes:
        with self.path.open("rb") as file:
            content = file.read(POLICY_BYTES_MAX + 1)
        if len(content) > POLICY_BYTES_MAX:
            raise BadRetention(f"it has more than {POLICY_BYTES_MAX} bytes")
        return content
