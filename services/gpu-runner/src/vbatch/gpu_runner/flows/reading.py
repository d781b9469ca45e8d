"""Reads the requests of slices in advance, and the ids of requests that are not to run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec
import structlog

from vbatch.contracts.events import Outcome
from vbatch.contracts.failures import ReturnReason
from vbatch.contracts.lines import RequestLine, parse_request_line
from vbatch.contracts.orders import FailSlice, RequestRef, RunSlice
from vbatch.gpu_runner.core.feed import Feed, Remainder, Request
from vbatch.gpu_runner.core.model_override import with_model
from vbatch.gpu_runner.flows.change_signal import ChangeSignal
from vbatch.gpu_runner.flows.recorder import Recorder
from vbatch.gpu_runner.ports import InputFiles, InputUnreadable

LINES_PER_TURN = 256
"""Lines parsed before other tasks get a turn: about a millisecond."""

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


@dataclass(frozen=True)
class Reading:
    files: InputFiles
    feed: Feed
    recorder: Recorder
    changed: ChangeSignal

    async def read_ahead(self) -> None:
        while True:
            order = self.feed.next_unread()
            if order is None:
                await self.changed.wait()
            else:
                await self._read(order)

    async def fail(self, order: FailSlice) -> None:
        """Record the fault for every line of the slice."""
        try:
            lines = await self._lines(order.blob, order.requests)
        except InputUnreadable as trouble:
            lines_left = tuple(request.line for request in order.requests)
            self._give_back(Remainder(order, lines_left, ()), str(trouble))
            return
        for request, line in zip(order.requests, lines, strict=True):
            outcome = Outcome(line=request.line, custom_id=line.custom_id, error=order.fault)
            self.recorder.record(order.slice_id, outcome)
        log.info(
            "slice_failed",
            slice_id=order.slice_id,
            batch_id=order.batch_id,
            fault=order.fault.code,
            lines=len(lines),
        )

    async def _read(self, order: RunSlice) -> None:
        try:
            lines = await self._lines(order.blob, order.requests)
        except InputUnreadable as trouble:
            if self.feed.has(order.slice_id):
                self._give_back(self.feed.close(order.slice_id), str(trouble))
            self.changed.fire()
            return
        requests = zip(order.requests, lines, strict=True)
        self.feed.put(order.slice_id, [_request(order, ref, line) for ref, line in requests])
        self.changed.fire()

    async def _lines(self, blob: str, requests: tuple[RequestRef, ...]) -> list[RequestLine]:
        """Read the lines. Raises InputUnreadable, also if a line is not the one that was validated."""
        lines: list[RequestLine] = []
        for raw, request in zip(await self.files.read(blob, requests), requests, strict=True):
            try:
                lines.append(parse_request_line(raw))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise InputUnreadable(f"line {request.line} of {blob} is not a request: {error}") from error
            if len(lines) % LINES_PER_TURN == 0:
                await asyncio.sleep(0)
        return lines

    def _give_back(self, remainder: Remainder, detail: str) -> None:
        self.recorder.give_back(remainder, ReturnReason.INPUT_UNREADABLE, detail)
        order = remainder.order
        log.error("input_unreadable", slice_id=order.slice_id, batch_id=order.batch_id, reason=detail)


def _request(order: RunSlice, ref: RequestRef, line: RequestLine) -> Request:
    place = f"request:{order.batch_id}:{ref.line}"
    body = with_model(line.body, order.model) if order.replaces_model else bytes(line.body)
    return Request(order.slice_id, ref.line, line.custom_id, order.endpoint, body, ref.group, place)
