"""In which order a file's requests run: depth-first over the tree of their openings, so that an engine with a prefix
cache finds each shared prefix once and while it is still there.

It orders one file. That a group's first request runs a step before its siblings, so that they find its prefix, is for
whoever feeds the engine to see to: the order only puts it first.
"""

from __future__ import annotations

from array import array
from zlib import crc32

import msgspec

from vbatch.scheduler.core.planning.request_line import ABSENT, Body

PREFIX_BYTES = (64, 256, 1024, 4096)
"""Where requests that agreed so far may part: the levels of the tree. Bytes stand in for tokens."""
GROUP_BYTES = 1024
"""Requests of different batches that agree so far are worth running together; less is computed again in no time."""
LAST_WAVE_REQUESTS = 768
"""Three windows of 256: what still runs when nothing waits any more, where a long request begun late runs alone."""
OUTPUT_TOKENS_MAX = 2**32 - 1


class _Message(msgspec.Struct, frozen=True):
    role: msgspec.Raw = ABSENT
    content: msgspec.Raw = ABSENT


_MESSAGES = msgspec.json.Decoder(list[_Message])


class PromptPrefixes:
    """What the order is made of: hashes of each request's opening and its output limit, 40 bytes a request.

    The hashes are Python's own, different in each process; the order is the same in each, since only their
    equality counts. Two different openings with one hash would be neighbours for nothing, no more.
    """

    def __init__(self) -> None:
        self._levels = [array("q") for _ in PREFIX_BYTES]
        self._output_tokens = array("I")
        self.groups = array("I")
        """Of each request, alike in every process, so that batches can be compared; 0 for a short opening."""

    def __len__(self) -> int:
        return len(self._output_tokens)

    def add(self, body: Body) -> None:
        text = prompt_prefix(body)
        for level, length in zip(self._levels, PREFIX_BYTES, strict=True):
            level.append(hash(text[:length]))
        self._output_tokens.append(output_tokens_max(body))
        self.groups.append(crc32(text[:GROUP_BYTES]) if len(text) >= GROUP_BYTES else 0)

    def order(self) -> list[int]:
        """The requests by index: each group together, groups as they first appear; in the last wave longest first."""
        requests = list(range(len(self)))
        self._group(requests)
        before, wave = requests[:-LAST_WAVE_REQUESTS], requests[-LAST_WAVE_REQUESTS:]
        wave.sort(key=self._output_tokens.__getitem__, reverse=True)
        led = before[-1:] + wave  # the request before the wave leads it: a group the wave cuts in two goes on first
        self._group(led)
        return before[:-1] + led

    def _group(self, requests: list[int]) -> None:
        """Sort in place, deepest level first: each sort keeps the order within what it puts together."""
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

    Chat templates put the tools into the system prompt, so they part requests before any message does.
    """
    subject = body.messages or body.input or body.prompt or body.query or body.queries or body.text_1 or body.data_1
    return b"".join((body.tools, body.instructions, *_conversation(subject)))


def _conversation(raw: msgspec.Raw) -> list[msgspec.Raw]:
    """Roles and contents, without what else stands in a message; anything but a list of messages as it is."""
    try:
        messages = _MESSAGES.decode(raw)
    except (msgspec.ValidationError, RecursionError):
        return [raw]
    return [part for message in messages for part in (message.role, message.content)]


def output_tokens_max(body: Body) -> int:
    """How much a request may write; one that sets no limit may write most."""
    limit = body.max_completion_tokens or body.max_tokens or body.max_output_tokens
    digits = bytes(limit)
    return int(digits) if digits.isdigit() and len(digits) < 10 else OUTPUT_TOKENS_MAX
