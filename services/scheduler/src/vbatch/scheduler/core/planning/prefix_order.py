"""The order in which a file's requests run: depth-first over the tree of their prompt prefixes, so that an engine with
a prefix cache finds each shared prefix once, while it is still cached.

The module orders one file. The first request of a group must run a step before its siblings, so that they find its
prefix; this order only puts it first, and the code that feeds the engine sees to the rest.
"""

from __future__ import annotations

from array import array
from zlib import crc32

import msgspec

from vbatch.scheduler.core.planning.request_line import ABSENT, Body

PREFIX_BYTES = (64, 256, 1024, 4096)
"""The prefix lengths at which requests are compared: the levels of the tree. Bytes are used instead of tokens."""
GROUP_BYTES = 1024
"""Requests of different batches that share this many bytes are worth running together; less is cheap to compute."""
LAST_WAVE_REQUESTS = 768
"""Three times a concurrency of 256: the requests that still run when nothing waits, where a long request that starts
late would run alone."""
OUTPUT_TOKENS_MAX = 2**32 - 1


class _Message(msgspec.Struct, frozen=True):
    role: msgspec.Raw = ABSENT
    content: msgspec.Raw = ABSENT


_MESSAGES = msgspec.json.Decoder(list[_Message])


class PromptPrefixes:
    """The input of the order: hashes of each request's prompt prefix and its output limit, 40 bytes a request.

    The hashes are Python's own and differ in each process; the order does not, since only their equality counts. Two
    different prefixes with one hash become neighbours without benefit; that is the only harm.
    """

    def __init__(self) -> None:
        self._levels = [array("q") for _ in PREFIX_BYTES]
        self._output_tokens = array("I")
        self.groups = array("I")
        """The group of each request, the same in every process, so that batches compare; 0 for a short prefix."""

    def __len__(self) -> int:
        return len(self._output_tokens)

    def add(self, body: Body) -> None:
        text = prompt_prefix(body)
        for level, length in zip(self._levels, PREFIX_BYTES, strict=True):
            level.append(hash(text[:length]))
        self._output_tokens.append(output_tokens_max(body))
        self.groups.append(crc32(text[:GROUP_BYTES]) if len(text) >= GROUP_BYTES else 0)

    def order(self) -> list[int]:
        """The requests by index: each group is together, and groups come as they first appear. In the last wave the
        longest come first."""
        requests = list(range(len(self)))
        self._group(requests)
        before, wave = requests[:-LAST_WAVE_REQUESTS], requests[-LAST_WAVE_REQUESTS:]
        wave.sort(key=self._output_tokens.__getitem__, reverse=True)
        led = before[-1:] + wave  # the request before the wave leads it: a group cut in two continues first
        self._group(led)
        return before[:-1] + led

    def _group(self, requests: list[int]) -> None:
        """Sort in place, deepest level first; each sort keeps the order within the requests that it brings together."""
        for level in reversed(self._levels):
            _gather(requests, level)


def _gather(requests: list[int], hashes: array[int]) -> None:
    first: dict[int, int] = {}
    for place, request in enumerate(requests):
        first.setdefault(hashes[request], place)
    if len(first) < len(requests):
        requests.sort(key=lambda request: first[hashes[request]])


def prompt_prefix(body: Body) -> bytes:
    """The text that an engine reads first, as the JSON spells it: tools, instructions, then messages, prompt or input.

    Chat templates put the tools into the system prompt, so tools distinguish requests before any message does.
    """
    subject = body.messages or body.input or body.prompt or body.query or body.queries or body.text_1 or body.data_1
    return b"".join((body.tools, body.instructions, *_conversation(subject)))


def _conversation(raw: msgspec.Raw) -> list[msgspec.Raw]:
    """The roles and contents of messages, without other fields; anything but a list of messages stays as it is."""
    try:
        messages = _MESSAGES.decode(raw)
    except (msgspec.ValidationError, RecursionError):
        return [raw]
    return [part for message in messages for part in (message.role, message.content)]


def output_tokens_max(body: Body) -> int:
    """How many tokens a request may write; one that sets no limit may write the most."""
    limit = body.max_completion_tokens or body.max_tokens or body.max_output_tokens
    digits = bytes(limit)
    return int(digits) if digits.isdigit() and len(digits) < 10 else OUTPUT_TOKENS_MAX
