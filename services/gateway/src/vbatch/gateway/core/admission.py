"""Which callers the gateway admits, on every route that requires a key; wrong keys are counted for each address."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from vbatch.gateway.core.access import Access, Caller
from vbatch.gateway.core.rate_limits import FAILED_KEYS_PER_MINUTE, RateLimit
from vbatch.gateway.core.refusals import Reason, Refusal, too_many_failed_keys


@dataclass(frozen=True, slots=True)
class Admission:
    """After too many wrong keys from an address, only keys with a known id are checked from there."""

    access: Access
    failed_keys: RateLimit = field(default_factory=lambda: RateLimit(FAILED_KEYS_PER_MINUTE))

    def admit(self, authorization: str | None, address: str, now: datetime) -> Caller:
        """Return the caller of the key in an Authorization header. Raises Refusal."""
        if self.failed_keys.has_charged(address):
            self._must_not_guess(authorization, address, now)
        try:
            return self.access.caller(authorization, now)
        except Refusal as refusal:
            if refusal.reason is Reason.KEY_WRONG:
                self.failed_keys.charge(address, 1, now)
            raise

    def _must_not_guess(self, authorization: str | None, address: str, now: datetime) -> None:
        """Raises Refusal."""
        allowance = self.failed_keys.look(address, now)
        if allowance is not None and allowance.wait_seconds and not self.access.knows(authorization):
            raise too_many_failed_keys(allowance.wait_seconds)
