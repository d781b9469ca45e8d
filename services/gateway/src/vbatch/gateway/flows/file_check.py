"""Checks whether a stored file could become a batch, without creating one."""

from __future__ import annotations

from vbatch.chassis.blobs import BlobMissing
from vbatch.contracts.endpoints import BATCH_ENDPOINTS
from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.records import FileRecord
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.core.server_views import FileCheckObject, FileFaultObject
from vbatch.gateway.core.shapes import json_object, string
from vbatch.gateway.flows.files import find_file
from vbatch.gateway.ports import Dependencies

FAULTS_SHOWN_MAX = 200
TEXT_BYTES_MAX = 512


def parse_check_params(raw: bytes) -> str:
    """Return the endpoint in the body of a check. Raises Refusal."""
    endpoint = string(json_object(raw, required=("endpoint",), optional=())["endpoint"], "endpoint")
    if endpoint not in BATCH_ENDPOINTS:
        quoted = [f"'{name}'" for name in BATCH_ENDPOINTS]
        words = f"Supported values are: {', '.join(quoted[:-1])}, and {quoted[-1]}."
        raise Refusal(Reason.VALUE_INVALID, f"Invalid value: '{endpoint}'. {words}", "endpoint")
    return endpoint


async def check_file(dependencies: Dependencies, owner: OwnerId, file_id: str, endpoint: str) -> FileCheckObject:
    """Check the file. Raises Refusal when the file is unknown, and SchedulerUnavailable."""
    file = await find_file(dependencies, owner, file_id)
    checked = await dependencies.forecasts.check(file.blob, file.bytes, endpoint)
    listed = checked.faults[:FAULTS_SHOWN_MAX]
    texts = await _texts(dependencies, file, {fault.line for fault in listed if fault.line})
    return FileCheckObject(
        file_id=file.id,
        endpoint=endpoint,
        is_fit=not checked.faults,
        requests=checked.requests,
        model=checked.model,
        work_seconds=checked.work_seconds,
        is_guess=checked.is_guess,
        fault_count=len(checked.faults),
        faults=[
            FileFaultObject(
                code=fault.code.value,
                line=fault.line,
                message=fault.message,
                param=fault.param,
                text=texts.get(fault.line) if fault.line else None,
            )
            for fault in listed
        ],
    )


async def _texts(dependencies: Dependencies, file: FileRecord, lines: set[int]) -> dict[int, str]:
    try:
        found = await dependencies.input_lines.read(file.blob, file.bytes, lines, TEXT_BYTES_MAX)
    except BlobMissing:
        return {}
    return {line: text.decode(errors="replace") for line, text in found.items()}
