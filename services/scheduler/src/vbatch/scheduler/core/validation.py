"""Is a file fit to run? Every line is checked, every fault is reported in line order (openai_contract 6).

A file is fed block by block and never held whole. A good line costs one decode that skips its content; only a bad
line is looked at twice, to name its fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from vbatch.contracts.endpoints import REQUIRED_BODY_FIELD
from vbatch.contracts.events import BatchFault
from vbatch.contracts.failures import FileFault
from vbatch.contracts.ids import ModelId
from vbatch.contracts.orders import RequestRef
from vbatch.scheduler.core.plan import Plan

BOM = b"\xef\xbb\xbf"
ABSENT = msgspec.Raw(b"")
FAULTS_MAX = 5_000
"""How many faults one rejection lists; one more says how many were left out."""


@dataclass(frozen=True, slots=True)
class FileRules:
    """What a file is held to: its batch's endpoint, the models there are (id → endpoints), and limits."""

    endpoint: str
    models: Mapping[ModelId, tuple[str, ...]]
    lines_max: int = 50_000
    line_bytes_max: int = 16 << 20


class _Body(msgspec.Struct, frozen=True):
    model: str
    stream: bool | None = None
    messages: msgspec.Raw = ABSENT
    prompt: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT


class _Line(msgspec.Struct, frozen=True):
    custom_id: str
    method: str
    url: str
    body: _Body


_LINE = msgspec.json.Decoder(_Line)


class _Unfit(Exception):
    """A line is refused; carries code, message and param."""

    def __init__(self, code: FileFault, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


class FileCheck:
    """Feed the file's bytes in order, then ask for the `verdict`."""

    def __init__(self, rules: FileRules) -> None:
        self._rules = rules
        self._plan: Plan | None = None
        self._faults: list[BatchFault] = []
        self._left_out = 0
        self._custom_ids: set[str] = set()
        self._tail = b""
        self._tail_offset = 0
        self._line = 0
        self._requests = 0

    def feed(self, block: bytes) -> None:
        """The next bytes of the file; lines end at `\\n` bytes only."""
        lines = (self._tail + block).split(b"\n")
        self._tail = lines.pop()
        for raw in lines:
            self._take(raw, self._tail_offset)
            self._tail_offset += len(raw) + 1
        if len(self._tail) > self._rules.line_bytes_max:
            self._tail = self._tail[: self._rules.line_bytes_max + 1]  # the fault is certain, the rest is not kept

    def verdict(self) -> Plan | tuple[BatchFault, ...]:
        """The plan of a fit file, or all its faults."""
        self._take(self._tail, self._tail_offset)
        self._tail = b""
        if not self._faults and not self._left_out and self._plan is None:
            return (BatchFault(code=FileFault.EMPTY_FILE, message="The input file holds no requests."),)
        if self._left_out:
            more = f"{self._left_out} more lines are at fault."
            self._faults.append(BatchFault(code=FileFault.INVALID_REQUEST, message=more))
        if self._faults or self._plan is None:
            return tuple(self._faults)
        return self._plan

    @property
    def is_hopeless(self) -> bool:
        """The rest of the file need not be read."""
        return self._requests > self._rules.lines_max

    def _take(self, raw: bytes, offset: int) -> None:
        self._line += 1
        if self._line == 1 and raw.startswith(BOM):
            raw, offset = raw[len(BOM) :], offset + len(BOM)
        raw = raw.rstrip()
        if not raw or self.is_hopeless:
            return
        self._requests += 1
        try:
            self._admit(raw, offset)
        except _Unfit as unfit:
            self._blame(unfit)

    def _admit(self, raw: bytes, offset: int) -> None:
        if self.is_hopeless:
            raise _Unfit(FileFault.TOO_MANY_TASKS, f"A batch may hold at most {self._rules.lines_max} requests.")
        if len(raw) > self._rules.line_bytes_max:
            limit = self._rules.line_bytes_max
            raise _Unfit(FileFault.LINE_TOO_LONG, f"This line is longer than {limit} bytes.")
        line = parse_line(raw)
        self._check(line)
        plan = self._plan_for(ModelId(line.body.model))
        plan.add(RequestRef(self._line, offset, len(raw)))

    def _check(self, line: _Line) -> None:
        check_envelope(line, self._rules.endpoint)
        if line.custom_id in self._custom_ids:
            raise _Unfit(FileFault.DUPLICATE_CUSTOM_ID, DUPLICATE, "custom_id")
        self._custom_ids.add(line.custom_id)
        check_body(line.body, self._rules)

    def _plan_for(self, model: ModelId) -> Plan:
        if self._plan is None:
            self._plan = Plan(model)
        if self._plan.model != model:
            message = f"The model '{model}' for this request does not match the rest of the batch. {ONE_MODEL}"
            raise _Unfit(FileFault.MISMATCHED_MODEL, message, "body.model")
        return self._plan

    def _blame(self, unfit: _Unfit) -> None:
        if len(self._faults) >= FAULTS_MAX:
            self._left_out += 1
            return
        fault = BatchFault(code=unfit.code, message=unfit.message, line=self._line, param=unfit.param)
        self._faults.append(fault)


DUPLICATE = (
    "The custom_id for this request is a duplicate of another request. "
    "The custom_id parameter must be unique for each request in a batch."
)
ONE_MODEL = "Each batch must contain requests for a single model."


def parse_line(raw: bytes) -> _Line:
    try:
        return _LINE.decode(raw)
    except msgspec.ValidationError as error:
        raise _diagnose(raw, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = "This line is not parseable as valid JSON."
        raise _Unfit(FileFault.INVALID_JSON_LINE, message) from error


def check_envelope(line: _Line, endpoint: str) -> None:
    if not line.custom_id:
        raise _missing("custom_id")
    if line.method != "POST":
        message = f"The method '{line.method}' is not supported. Only POST is."
        raise _Unfit(FileFault.INVALID_METHOD, message, "method")
    if line.url != endpoint:
        message = "The URL provided for this request does not match the batch endpoint."
        raise _Unfit(FileFault.INVALID_URL, message, "url")


def check_body(body: _Body, rules: FileRules) -> None:
    name, message = REQUIRED_BODY_FIELD[rules.endpoint]
    if not bytes(getattr(body, name)):
        raise _Unfit(FileFault.INVALID_REQUEST, message, f"body.{name}")
    if body.stream:
        message = "Streaming is not supported in the Batch API."
        raise _Unfit(FileFault.STREAMING_UNSUPPORTED, message, "body.stream")
    check_model(ModelId(body.model), rules)


def check_model(model: ModelId, rules: FileRules) -> None:
    if model not in rules.models:
        message = f"The provided model '{model}' is not supported by the Batch API."
        raise _Unfit(FileFault.MODEL_NOT_FOUND, message, "body.model")
    if rules.endpoint not in rules.models[model]:
        message = f"The model '{model}' does not serve {rules.endpoint}."
        raise _Unfit(FileFault.INVALID_REQUEST, message, "body.model")


def _missing(name: str) -> _Unfit:
    return _Unfit(FileFault.MISSING_REQUIRED_PARAMETER, f"Missing required parameter: '{name}'.", name)


def _diagnose(raw: bytes, complaint: str) -> _Unfit:
    """The first fault of a line that is JSON but not a request."""
    document = msgspec.json.decode(raw)
    if not isinstance(document, dict):
        return _Unfit(FileFault.INVALID_JSON_LINE, "This line is not a JSON object.")
    for name in ("custom_id", "method", "url", "body"):
        if document.get(name) is None:
            return _missing(name)
        if fault := _wrong_type(document, name):
            return fault
    return _diagnose_body(document["body"], complaint)


def _wrong_type(document: Mapping[str, Any], name: str) -> _Unfit | None:
    wanted, word = (dict, "an object") if name == "body" else (str, "a string")
    if isinstance(document[name], wanted):
        return None
    return _Unfit(FileFault.INVALID_REQUEST, f"Invalid type for '{name}': expected {word}.", name)


def _diagnose_body(body: Mapping[str, Any], complaint: str) -> _Unfit:
    if body.get("model") is None:
        return _Unfit(FileFault.INVALID_REQUEST, "Model parameter is required.", "body.model")
    if not isinstance(body["model"], str):
        return _Unfit(FileFault.INVALID_REQUEST, "Invalid type for 'model': expected a string.", "body.model")
    if not isinstance(body.get("stream"), bool | None):
        return _Unfit(FileFault.INVALID_REQUEST, "Invalid type for 'stream': expected a boolean.", "body.stream")
    return _Unfit(FileFault.INVALID_REQUEST, complaint, "body")
