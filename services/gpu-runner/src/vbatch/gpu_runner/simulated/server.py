"""HTTP/1.1 on an asyncio Protocol, and the queue of requests that run at once.

A web framework costs several times as much as an answer, and the runner is measured against this server.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

import httptools
import msgspec
from msgspec.structs import replace

from vbatch.gpu_runner.simulated.answers import Reply, error, reply
from vbatch.gpu_runner.simulated.options import Options
from vbatch.gpu_runner.simulated.request_body import Steer

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests", 503: "Service Unavailable"}
JSON = "application/json"
NAPS = ("/sleep", "/wake_up")
SANE, GARBLED = b"[simulated]", b"[gghhhhhhh]"
TEXT = "text/plain; version=0.0.4; charset=utf-8"

EVENT_STREAM = "text/event-stream"
NO_HEADERS: Mapping[str, str] = {}

Send = Callable[[Reply], None]
SendEvent = Callable[[bytes], None]


class InFlightRequest:
    """A request that waits, runs or is cancelled."""

    __slots__ = ("events_left", "is_over", "is_running", "raw", "reply", "send", "send_event", "timer")

    def __init__(self, raw: bytes, answer: Reply, send: Send, send_event: SendEvent) -> None:
        self.raw = raw
        self.reply = answer
        self.send = send
        self.send_event = send_event
        self.events_left = deque(answer.events)
        self.timer: asyncio.TimerHandle | None = None
        self.is_running = False
        self.is_over = False


class Simulation:
    """Runs at most `max_num_seqs` requests, or as many as fit the cache; the rest wait in the order they came."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.running_max = min(options.max_num_seqs, options.running_max or options.max_num_seqs)
        self.running_count = 0
        self.request_count = 0
        self.finished_count = 0
        self.prompt_tokens = 0
        self.generation_tokens = 0
        self.is_asleep = False
        self.wakes = 0
        self._waiting: deque[InFlightRequest] = deque()
        self._tries: dict[bytes, int] = {}
        self._loop = asyncio.get_running_loop()
        self._work_log = open_log(options.work_log) if options.work_log else None

    @property
    def waiting_count(self) -> int:
        return len(self._waiting)

    def submit(self, path: str, raw: bytes, send: Send, send_event: SendEvent) -> InFlightRequest:
        self.request_count += 1
        if self.request_count == self.options.crash_after:
            crash()
        if self.request_count == 1 and self.options.resize_to:
            self._loop.call_later(self.options.resize_after_seconds, self._resize)
        answer, steer = self._reply(path, raw)
        if steer.busy_count and self._is_busy(raw, steer):
            answer = replace(error(steer.busy_status, "Busy, as asked for."), retry_after=steer.retry_after)
        if self._is_full():
            answer = error(429, "As many requests wait here as may.")
            request = InFlightRequest(raw, answer, send, send_event)
            request.is_over = True
            send(answer)
            return request
        request = InFlightRequest(raw, answer, send, send_event)
        self._waiting.append(request)
        self._start_next()
        return request

    def nap(self, path: str) -> Reply:
        """Fall asleep or wake up, as vLLM does in its development mode."""
        if path == "/wake_up":
            self.wakes += self.is_asleep
        self.is_asleep = path == "/sleep"
        return Reply(200, b"{}")

    def _reply(self, path: str, raw: bytes) -> tuple[Reply, Steer]:
        if self.is_asleep:
            return error(503, "It sleeps."), Steer()
        answer, steer = reply(path, raw, self.options)
        if 0 < self.options.garbage_after_wakes <= self.wakes:
            answer = replace(answer, body=answer.body.replace(SANE, GARBLED))
        return answer, steer

    def cancel(self, request: InFlightRequest) -> None:
        """Cancel a request whose client has disconnected."""
        if request.timer:
            request.timer.cancel()
        if request.is_running:
            self._leave(request)
        else:
            self._waiting.remove(request)

    def metrics(self) -> bytes:
        label = f'{{model_name="{self.options.model}"}}'
        values = {
            "vllm:num_requests_running": self.running_count,
            "vllm:num_requests_waiting": self.waiting_count,
            "vllm:kv_cache_usage_perc": self.running_count / self.running_max,
            "vllm:request_success_total": self.finished_count,
            "vllm:prompt_tokens_total": self.prompt_tokens,
            "vllm:generation_tokens_total": self.generation_tokens,
            "vllm:prefix_cache_queries_total": self.prompt_tokens,
            "vllm:prefix_cache_hits_total": 0,  # nothing is computed here, so nothing is kept
            "vllm:num_preemptions_total": 0,
        }
        return "".join(f"{name}{label} {value}\n" for name, value in values.items()).encode()

    def _resize(self) -> None:
        self.running_max = self.options.resize_to
        self._start_next()

    def _is_full(self) -> bool:
        limit = self.options.waiting_max
        return limit >= 0 and self.running_count >= self.running_max and self.waiting_count >= limit

    def _is_busy(self, raw: bytes, steer: Steer) -> bool:
        self._tries[raw] = self._tries.get(raw, 0) + 1
        return self._tries[raw] <= steer.busy_count

    def _start_next(self) -> None:
        while self._waiting and self.running_count < self.running_max:
            self._start(self._waiting.popleft())

    def _start(self, request: InFlightRequest) -> None:
        self.running_count += 1
        request.is_running = True
        self._note("started", request)
        if request.reply.crashes:
            crash()
        if request.reply.is_too_big:
            run_out_of_memory(self.options.max_num_seqs)
        if request.reply.hangs:
            return
        if request.reply.events:
            self._stream(request)
        elif request.reply.seconds > 0:
            request.timer = self._loop.call_later(request.reply.seconds, self._finish, request)
        else:
            self._finish(request)

    def _stream(self, request: InFlightRequest) -> None:
        """Send the next event, and the others at an even pace; the last one ends the answer."""
        pause = request.reply.seconds / len(request.reply.events)
        while request.events_left and not pause:
            request.send_event(request.events_left.popleft())
        if request.events_left:
            request.timer = self._loop.call_later(pause, self._next_event, request)
        else:
            self._finish(request)

    def _next_event(self, request: InFlightRequest) -> None:
        request.send_event(request.events_left.popleft())
        self._stream(request)

    def _note(self, what: str, request: InFlightRequest) -> None:
        if self._work_log is not None:
            inside = self.running_count + self.waiting_count
            os.write(self._work_log, f"{time.time():.6f} {what} {digest(request.raw)} {inside}\n".encode())

    def _finish(self, request: InFlightRequest) -> None:
        self._note("answered", request)
        self.finished_count += 1
        self.prompt_tokens += request.reply.prompt_tokens
        self.generation_tokens += request.reply.tokens
        request.send(request.reply)
        self._leave(request)

    def _leave(self, request: InFlightRequest) -> None:
        request.is_running = False
        request.is_over = True
        self.running_count -= 1
        self._start_next()


class Connection(asyncio.Protocol):
    """One client connection; the next request is read when the last answer has been sent."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body: list[bytes] = []
        self._request: InFlightRequest | None = None
        self._is_streaming = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is not a subclass

    def connection_lost(self, _error: Exception | None) -> None:
        if self._request:
            self._simulation.cancel(self._request)

    def data_received(self, received: bytes) -> None:
        try:
            self._parser.feed_data(received)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        path, body = self._url.decode(errors="replace"), b"".join(self._body)
        self._url, self._body = b"", []
        if self._parser.get_method() == b"GET":
            self._get(path)
        else:
            self._post(path, body)

    def _post(self, path: str, body: bytes) -> None:
        if self._simulation.options.enable_sleep_mode and (nap := path.partition("?")[0]) in NAPS:
            self._send_reply(self._simulation.nap(nap))
            return
        request = self._simulation.submit(path, body, self._send_reply, self._send_event)
        self._request = None if request.is_over else request

    def _get(self, path: str) -> None:
        match path:
            case "/health":
                self._send(200, b"", JSON)
            case "/metrics":
                self._send(200, self._simulation.metrics(), TEXT)
            case "/v1/models":
                model = {"id": self._simulation.options.model, "object": "model", "owned_by": "simulated"}
                self._send(200, msgspec.json.encode({"object": "list", "data": [model]}), JSON)
            case _:
                self._send(404, error(404, f"There is no {path}.").body, JSON)

    def _send_event(self, event: bytes) -> None:
        if not self._is_streaming:
            self._is_streaming = True
            head = f"HTTP/1.1 200 OK\r\ncontent-type: {EVENT_STREAM}\r\ntransfer-encoding: chunked\r\n\r\n"
            self._transport.write(head.encode())
        self._transport.write(b"%x\r\n%s\r\n" % (len(event), event))

    def _send_reply(self, answer: Reply) -> None:
        self._request = None
        if self._is_streaming:
            self._is_streaming = False
            self._transport.write(b"0\r\n\r\n")
            return
        pause = {} if answer.retry_after is None else {"retry-after": answer.retry_after}
        self._send(answer.status, answer.body, JSON, {**answer.headers, **pause})

    def _send(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str] = NO_HEADERS) -> None:
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = (
            f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}\r\n"
            f"content-type: {content_type}\r\n{more}content-length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode(errors="replace") + body)


async def serve(options: Options, stop: asyncio.Event) -> None:
    simulation = Simulation(options)
    loop = asyncio.get_running_loop()
    if options.uds:
        server = await loop.create_unix_server(lambda: Connection(simulation), options.uds, backlog=1024)
    else:
        server = await loop.create_server(lambda: Connection(simulation), options.host, options.port, backlog=1024)
    try:
        await stop.wait()
    finally:
        server.close()


def open_log(path: str) -> int:
    """Return a descriptor that appends every write whole, even if the process is killed right after."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def digest(raw: bytes) -> str:
    """Return the name of a request body in the work log."""
    return hashlib.blake2b(raw, digest_size=12).hexdigest()


def crash() -> None:
    """Die like a segfault or an OOM kill: without a message or cleanup."""
    os.kill(os.getpid(), signal.SIGKILL)


def run_out_of_memory(seqs: int) -> None:
    """Die at once like an engine whose device is full, with its error message."""
    sys.stderr.write(f"{out_of_memory(seqs)}\n")
    sys.stderr.flush()
    os._exit(1)


def out_of_memory(seqs: int) -> str:
    """Return PyTorch's error message."""
    return (
        f"torch.OutOfMemoryError: CUDA out of memory (simulated). Tried to allocate memory for {seqs} requests at once."
    )
