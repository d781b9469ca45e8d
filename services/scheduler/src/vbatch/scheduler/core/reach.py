"""Whether a line stays within what its model's trust allows a body to do, as vbatch.contracts.body_reach defines it.

The engine is started with the same limits; this check finds the fault of a line before anything runs.
"""

from __future__ import annotations

from vbatch.contracts.body_reach import (
    CONTENT_FIELDS,
    TEMPLATE,
    TEMPLATE_ARGUMENTS,
    BeyondTrust,
    check_within,
)
from vbatch.contracts.failures import FileFault
from vbatch.contracts.models import Trust
from vbatch.scheduler.core.planning.request_line import ABSENT, Body, Unfit

FIELDS = (*CONTENT_FIELDS, TEMPLATE, TEMPLATE_ARGUMENTS)


def check_reach(body: Body, trust: Trust) -> None:
    """Check that the body stays within the trust. Raises Unfit."""
    present = {field: raw for field in FIELDS if (raw := getattr(body, field)) is not ABSENT}
    try:
        check_within(trust, present)
    except BeyondTrust as error:
        raise Unfit(FileFault.INVALID_REQUEST, error.message, f"body.{error.field}") from error
