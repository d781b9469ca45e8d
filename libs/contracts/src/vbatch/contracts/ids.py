"""The ids. New ids take time and entropy as arguments; derived ids are hashes, so a rebuild repeats them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NewType

BatchId = NewType("BatchId", str)
FanoutId = NewType("FanoutId", str)
FileId = NewType("FileId", str)
SliceId = NewType("SliceId", str)
RunnerId = NewType("RunnerId", str)
ModelId = NewType("ModelId", str)
OwnerId = NewType("OwnerId", str)
UploadId = NewType("UploadId", str)
PartId = NewType("PartId", str)
KeyId = NewType("KeyId", str)
EndpointId = NewType("EndpointId", str)
DeliveryId = NewType("DeliveryId", str)
JudgementId = NewType("JudgementId", str)
DatasetId = NewType("DatasetId", str)
LabelingId = NewType("LabelingId", str)
EvaluationId = NewType("EvaluationId", str)

MODEL_ID_BYTES_MAX = 256
ID_BYTES_MAX: Mapping[object, int] = {
    BatchId: 64,
    FanoutId: 64,
    FileId: 1024,  # also a client's name for the input file of a batch: 256 characters
    SliceId: 64,
    RunnerId: 64,
    ModelId: MODEL_ID_BYTES_MAX,
    OwnerId: 64,
    UploadId: 64,
    PartId: 64,
    KeyId: 64,
    EndpointId: 64,
    DeliveryId: 64,
    JudgementId: 64,
    DatasetId: 64,
    LabelingId: 64,
    EvaluationId: 64,
}
"""Bounds in UTF-8 bytes. Code that takes an id from a client or an operator refuses a longer one."""

OutputKind = Literal["output", "error"]

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
FILE_ID_DIGITS = 22
BATCH_ID_PATTERN = re.compile(r"batch_[0-9a-f]{32}")
FANOUT_ID_PATTERN = re.compile(r"fanout_[0-9a-f]{32}")
FILE_ID_PATTERN = re.compile(r"file-[0-9A-Za-z]{22}")
UPLOAD_ID_PATTERN = re.compile(r"upload_[0-9a-f]{32}")
API_KEY_PREFIX = "sk-vb-"
KEY_ID_DIGITS = 8
KEY_SECRET_DIGITS = 32
API_KEY_PATTERN = re.compile(f"{API_KEY_PREFIX}([0-9A-Za-z]{{{KEY_ID_DIGITS}}})_[0-9A-Za-z]{{{KEY_SECRET_DIGITS}}}")
KEY_ID_PATTERN = re.compile(f"key_[0-9A-Za-z]{{{KEY_ID_DIGITS}}}")


def new_batch_id(now: datetime, entropy: bytes) -> BatchId:
    """`batch_` + 32 hex: 12 digits of Unix milliseconds, then 20 of entropy (10 bytes), so ids sort by creation."""
    return BatchId(f"batch_{int(now.timestamp() * 1000):012x}{entropy[:10].hex():0>20}")


def new_file_id(entropy: bytes) -> FileId:
    """`file-` + 22 base62 digits of 16 bytes of entropy, the shape of OpenAI's file ids."""
    return FileId("file-" + _base62(int.from_bytes(entropy[:16], "big")))


def new_upload_id(entropy: bytes) -> UploadId:
    """`upload_` + 32 hex digits of 16 bytes of entropy."""
    return UploadId(f"upload_{entropy[:16].hex()}")


def new_part_id(entropy: bytes) -> PartId:
    """`part_` + 32 hex digits of 16 bytes of entropy."""
    return PartId(f"part_{entropy[:16].hex()}")


def new_api_key(entropy: bytes) -> str:
    """`sk-vb-` + 8 base62 digits, which name the key and may be logged, + `_` + 32, which are 190 bits of 32 bytes."""
    digits = _base62(int.from_bytes(entropy[:32], "big"), KEY_ID_DIGITS + KEY_SECRET_DIGITS)
    return f"{API_KEY_PREFIX}{digits[:KEY_ID_DIGITS]}_{digits[KEY_ID_DIGITS:]}"


def key_id_of(api_key: str) -> KeyId | None:
    """Return the id in a key that this server created; None for any other text."""
    match = API_KEY_PATTERN.fullmatch(api_key)
    return KeyId(f"key_{match[1]}") if match else None


def imported_key_id(sha256: str) -> KeyId:
    """Return the id of a key that was made elsewhere, from its digest: importing it twice gives one key."""
    return KeyId("key_" + _base62(int.from_bytes(_digest("key", sha256)[:16], "big"), KEY_ID_DIGITS))


def new_endpoint_id(entropy: bytes) -> EndpointId:
    """`we_` + 32 hex digits of 16 bytes of entropy."""
    return EndpointId(f"we_{entropy[:16].hex()}")


def delivery_id_of(sequence: int, endpoint_id: EndpointId) -> DeliveryId:
    """Return `evt_` + 32 hex digits: the same for one event of the log and one endpoint, however often the log is
    read."""
    return DeliveryId("evt_" + _digest("delivery", str(sequence), endpoint_id).hex()[:32])


def asked_delivery_id(entropy: bytes) -> DeliveryId:
    """Return an id of the same shape for a delivery that a client asked for."""
    return DeliveryId(f"evt_{entropy[:16].hex()}")


def new_judgement_id(entropy: bytes) -> JudgementId:
    """`judgement_` + 32 hex digits of 16 bytes of entropy."""
    return JudgementId(f"judgement_{entropy[:16].hex()}")


def derived_judgement_id(*parts: str) -> JudgementId:
    """Return the same id for the same parts, so that a judgement that arrives twice counts once."""
    return JudgementId("judgement_" + _digest("judgement", *parts).hex()[:32])


def dataset_id_of(owner: OwnerId, name: str) -> DatasetId:
    """Return `dataset_` + 32 hex digits, derived from the owner and the name, which identify a data set."""
    return DatasetId("dataset_" + _digest("dataset", owner, name).hex()[:32])


def labeling_id_of(owner: OwnerId, request_id: str) -> LabelingId:
    """Return `labeling_` + 32 hex digits. The same request always gives the same labeling."""
    return LabelingId("labeling_" + _digest("labeling", owner, request_id).hex()[:32])


def evaluation_id_of(owner: OwnerId, request_id: str) -> EvaluationId:
    """Return `evaluation_` + 32 hex digits. The same request always gives the same evaluation."""
    return EvaluationId("evaluation_" + _digest("evaluation", owner, request_id).hex()[:32])


def owner_token(owner: OwnerId) -> str:
    """Return one subject token for an owner's name, which may hold dots but no tilde."""
    return owner.replace(".", "~")


def output_file_id(batch_id: BatchId, kind: OutputKind) -> FileId:
    """Return the id of a batch's output or error file. It is derived, so a repeated seal gives the same id."""
    return new_file_id(_digest(batch_id, kind))


def made_file_id(batch_id: BatchId, content: str) -> FileId:
    """The id of an input file that the server makes for a batch; `content` names what is in it. It is derived, so a
    repeated request makes the same file."""
    return new_file_id(_digest("made", batch_id, content))


def fanout_id_of(first: BatchId, models: Sequence[ModelId]) -> FanoutId:
    """`fanout_` + 32 hex digits, derived from its first batch and its models."""
    return FanoutId("fanout_" + _digest("fanout", first, *models).hex()[:32])


def fanout_batch_id(first: BatchId, model: ModelId) -> BatchId:
    """Return the id of the batch that a fan-out creates for a model other than its first one."""
    return BatchId("batch_" + _digest("fanout", first, model).hex()[:32])


def batch_request_id(batch_id: BatchId, line: int) -> str:
    """Return the `id` of a line in an output file: `batch_req_` + 32 hex digits."""
    return "batch_req_" + _digest(batch_id, str(line)).hex()[:32]


def engine_request_id(batch_id: BatchId, line: int) -> str:
    """Return the `response.request_id` of a line: 32 hex digits, as in OpenAI's live output files."""
    return _digest(batch_id, str(line), "engine").hex()[:32]


def model_token(model_id: ModelId) -> str:
    """One subject token for a model id, which may hold `/`, `.` and spaces."""
    return _digest("model", model_id).hex()[:16]


def is_batch_id(text: str) -> bool:
    return BATCH_ID_PATTERN.fullmatch(text) is not None


def is_fanout_id(text: str) -> bool:
    return FANOUT_ID_PATTERN.fullmatch(text) is not None


def is_file_id(text: str) -> bool:
    return FILE_ID_PATTERN.fullmatch(text) is not None


def is_key_id(text: str) -> bool:
    return KEY_ID_PATTERN.fullmatch(text) is not None


def is_upload_id(text: str) -> bool:
    return UPLOAD_ID_PATTERN.fullmatch(text) is not None


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("|".join(parts).encode()).digest()


def _base62(number: int, length: int = FILE_ID_DIGITS) -> str:
    digits: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(BASE62[digit])
    return "".join(reversed(digits))
