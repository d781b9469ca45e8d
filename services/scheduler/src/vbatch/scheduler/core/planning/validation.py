"""Whether a file can run, and in which order. Every line is checked, and every fault is reported in line order.

A file is fed block by block and never held whole; each request takes about 64 bytes until the result, 28 after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from math import inf

import msgspec

from vbatch.contracts.body_reach import may_reach
from vbatch.contracts.bounds import cut
from vbatch.contracts.endpoints import EMBEDDINGS
from vbatch.contracts.events import BatchFault
from vbatch.contracts.failures import FileFault
from vbatch.contracts.ids import ModelId
from vbatch.contracts.limits import FAULT_MESSAGE_BYTES_MAX, FAULTS_BYTES_MAX, FAULTS_COUNT_MAX, MODELS_COUNT_MAX
from vbatch.contracts.lines import RequestLines
from vbatch.contracts.models import NO_TRUST, Trust
from vbatch.contracts.orders import RequestRef
from vbatch.scheduler.core.planning.custom_ids import CustomIds
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.planning.prefix_order import PromptPrefixes
from vbatch.scheduler.core.planning.request_line import (
    QUOTE_BYTES_MAX,
    Line,
    Unfit,
    check_body,
    check_envelope,
    custom_id_of,
    input_count,
    parse_line,
)
from vbatch.scheduler.core.reach import check_reach

FAULTS_MAX = FAULTS_COUNT_MAX
"""How many faults one rejection lists if they fit its event; one more fault says how many were left out."""
FAULTS_ROOM = FAULTS_BYTES_MAX - 2 * FAULT_MESSAGE_BYTES_MAX
"""The bound on the JSON of the listed faults, in bytes; the rest of the space is for the one additional fault."""
REREAD_LINES_MAX, REREAD_BYTES_MAX = 1_024, 4 << 20
"""How many of the lines that may share a custom_id are read again at a time; a longer line is read alone."""

ReadAgain = Callable[[Sequence[RequestRef]], list[bytes]]
"""Reads these lines of the file again, in the given order."""

DUPLICATE = (
    "The custom_id for this request is a duplicate of another request. "
    "The custom_id parameter must be unique for each request in a batch."
)
MANY_MODELS = f"A batch may name at most {MODELS_COUNT_MAX} models."
ONE_MODEL = "Each batch must contain requests for a single model."


@dataclass(frozen=True, slots=True)
class FileRules:
    """What a file is checked against: its batch's endpoint, the known models (id → endpoints), and limits."""

    endpoint: str
    models: Mapping[ModelId, tuple[str, ...]]
    lines_max: int = 50_000
    line_bytes_max: int = 16 << 20
    was_found_fit: bool = False
    """This log validated the file before: a kept plan is good enough, and what was allowed then stays allowed."""
    trust: Mapping[ModelId, Trust] = field(default_factory=dict)
    """The trust of models that may do more than compute."""
    model: ModelId | None = None
    """Runs every line, whichever model the line names; None lets each line choose."""
    may_mix_models: bool = False
    """Whether lines may name several models."""


@dataclass(slots=True)
class Faults:
    """The first faults of a file in line order, and how many more there are."""

    listed: list[BatchFault] = field(default_factory=list)
    left_out: int = 0
    json_bytes: int = 0

    def add(self, unfit: Unfit, line: int | None) -> None:
        """`line` is None for a fault of the file itself, which comes last."""
        message = cut(unfit.message, FAULT_MESSAGE_BYTES_MAX)
        self._list(BatchFault(code=unfit.code, message=message, line=line, param=unfit.param))

    def with_others(self, others: Faults) -> Faults:
        """The faults of both, in line order."""
        both = Faults()
        for fault in merge(self.listed, others.listed, key=lambda fault: fault.line or inf):
            both._list(fault)
        both.left_out += self.left_out + others.left_out
        return both

    def _list(self, fault: BatchFault) -> None:
        """Once a fault is left out, no later one is listed: the listed faults are always the first."""
        size = len(msgspec.json.encode(fault)) + 1
        if self.left_out or len(self.listed) >= FAULTS_MAX or self.json_bytes + size > FAULTS_ROOM:
            self.left_out += 1
        else:
            self.listed.append(fault)
            self.json_bytes += size

    def as_faults(self) -> tuple[BatchFault, ...]:
        if not self.left_out:
            return tuple(self.listed)
        message = f"{self.left_out} more lines are at fault."
        return (*self.listed, BatchFault(code=FileFault.INVALID_REQUEST, message=message))


class FileCheck:
    """Feed the file's bytes in order, then ask for the `result`."""

    def __init__(self, rules: FileRules) -> None:
        self._rules = rules
        self._plan = Plan(ModelId(""))  # it has every request with an id, so that all ids are compared
        self._custom_ids = CustomIds()
        self._openings = PromptPrefixes()
        self._faults = Faults()
        self._lines = RequestLines(rules.line_bytes_max)
        self._requests = 0
        self._inputs = 0
        self._models: dict[ModelId, int] = {}
        self._model_numbers = bytearray()

    def feed(self, block: bytes) -> None:
        """The next bytes of the file."""
        for line, offset, raw in self._lines.feed(block):
            self._take(line, offset, raw)

    def result(self, read_again: ReadAgain) -> Plan | tuple[BatchFault, ...]:
        """The plan of a valid file, or all its faults."""
        for line, offset, raw in self._lines.end():
            self._take(line, offset, raw)
        faults = self._faults.with_others(self._duplicates(read_again))
        if faults.listed:
            return faults.as_faults()
        if not self._requests:
            return (BatchFault(code=FileFault.EMPTY_FILE, message="The input file holds no requests."),)
        if len(self._models) > 1:
            self._plan.name_models(tuple(self._models), bytes(self._model_numbers))
        self._plan.arrange(self._openings.order(), self._openings.groups)
        return self._plan

    @property
    def is_hopeless(self) -> bool:
        """Whether the rest of the file need not be read."""
        return self._requests > self._rules.lines_max

    def _take(self, line: int, offset: int, raw: bytes) -> None:
        self._requests += 1
        if self.is_hopeless:
            return self._note_too_many()
        try:
            self._admit(line, offset, raw)
        except Unfit as unfit:
            self._faults.add(unfit, line)

    def _note_too_many(self) -> None:
        if self._requests == self._rules.lines_max + 1:
            message = f"A batch may hold at most {self._rules.lines_max} requests."
            self._faults.add(Unfit(FileFault.TOO_MANY_TASKS, message), line=None)

    def _admit(self, number: int, offset: int, raw: bytes) -> None:
        if len(raw) > self._rules.line_bytes_max:
            limit = self._rules.line_bytes_max
            raise Unfit(FileFault.LINE_TOO_LONG, f"This line is longer than {limit} bytes.")
        try:
            line = parse_line(raw)
        except Unfit as unfit:
            if unfit.code is not FileFault.INVALID_JSON_LINE:
                self._note_id(custom_id_of(raw), RequestRef(number, offset, len(raw)))
            raise
        self._note_id(line.custom_id, RequestRef(number, offset, len(raw)))
        check_envelope(line, self._rules.endpoint)
        self._check_body(line, raw)
        self._openings.add(line.body)

    def _note_id(self, custom_id: str, ref: RequestRef) -> None:
        """Note the id whatever else is wrong with the line: no other line may have it."""
        if custom_id:
            self._plan.add(ref)
            self._custom_ids.add(custom_id)

    def _check_body(self, line: Line, raw: bytes) -> None:
        model = self._rules.model or ModelId(line.body.model)
        check_body(line.body, model, self._rules.endpoint, self._rules.models)
        if not self._rules.was_found_fit and may_reach(raw):
            check_reach(line.body, self._rules.trust.get(model, NO_TRUST))
        if not self._plan.model:
            self._plan.model = model
        self._check_inputs(line)
        if self._rules.may_mix_models:
            self._note_model(model)
        elif self._plan.model != model:
            quoted = cut(model, QUOTE_BYTES_MAX)
            message = f"The model '{quoted}' for this request does not match the rest of the batch. {ONE_MODEL}"
            raise Unfit(FileFault.MISMATCHED_MODEL, message, "body.model")

    def _note_model(self, model: ModelId) -> None:
        """Number the models in the order in which they appear; the numbers count only in a file without faults."""
        number = self._models.setdefault(model, len(self._models))
        if number >= MODELS_COUNT_MAX:
            raise Unfit(FileFault.MISMATCHED_MODEL, MANY_MODELS, "body.model")
        self._model_numbers.append(number)

    def _check_inputs(self, line: Line) -> None:
        """Limit the inputs of embedding requests: one request may hold many, and together they are limited like lines.
        The fault is reported once, at the line that exceeds the bound."""
        if self._rules.endpoint != EMBEDDINGS:
            return
        before, most = self._inputs, self._rules.lines_max
        self._inputs += input_count(line.body.input)
        if before <= most < self._inputs:
            message = f"A batch may hold at most {most} embedding inputs."
            raise Unfit(FileFault.TOO_MANY_TASKS, message, "body.input")

    def _duplicates(self, read_again: ReadAgain) -> Faults:
        """The lines whose custom_id an earlier line already has; equal digests are only a reason to compare."""
        faults, seen = Faults(), set[str]()
        doubtful = (self._plan.ref(index) for index in self._custom_ids.doubtful())
        for portion in _portions(doubtful):
            for ref, raw in zip(portion, read_again(portion), strict=True):
                custom_id = custom_id_of(raw)
                if custom_id in seen:
                    faults.add(Unfit(FileFault.DUPLICATE_CUSTOM_ID, DUPLICATE, "custom_id"), ref.line)
                seen.add(custom_id)
        return faults


def _portions(refs: Iterable[RequestRef]) -> Iterator[list[RequestRef]]:
    """Split the refs into portions of bounded length and bytes."""
    portion: list[RequestRef] = []
    size = 0
    for ref in refs:
        if portion and (len(portion) == REREAD_LINES_MAX or size + ref.length > REREAD_BYTES_MAX):
            yield portion
            portion, size = [], 0
        portion.append(ref)
        size += ref.length
    if portion:
        yield portion
