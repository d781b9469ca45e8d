"""The clients: they upload files, create batches, pause, resume and cancel them, and repeat each call until it is
acknowledged, as the gateway does.

Files are as odd as clients make them; some are invalid, some hold a request that kills engines. A cancel or an expiry
often comes with the last line; an input file may be deleted while its batch runs, or before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import msgspec

from tests.simulation.archives import KINDS
from tests.simulation.checks import InputLine, Reading
from tests.simulation.engine import GAGGED, POISON
from tests.simulation.journal import UNSTORABLE, SimulatedLog
from tests.simulation.stores import BlobStore
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import BatchId, FileId, ModelId, OwnerId, new_batch_id, new_file_id, output_file_id
from vbatch.contracts.lifecycle import PRIORITY_MAX, PRIORITY_MIN
from vbatch.journal.port import Full, Unavailable

CHAT = "/v1/chat/completions"
OWNER = OwnerId("local")
MODELS = (ModelId("small"), ModelId("large"))
POLL_SECONDS = 0.01
ENDED_POLL_SECONDS = 0.1
LINES_MAX = 40
HOSTILE_SHARE = 0.05
HOSTILE_WORDS = (GAGGED, "z" * 1000, "\x01" * 1000, "\u2028" * 300, "\U0001f47e" * 240, '\\"{}' * 200)
"""Parts of request ids."""
UNFIT_LINES = (
    b"{}",
    msgspec.json.encode({"custom_id": "m", "method": UNSTORABLE.decode(), "url": CHAT, "body": {}}),
    msgspec.json.encode({"custom_id": "m", "method": "M" * 5_000, "url": CHAT, "body": {}}),
    msgspec.json.encode(
        {"custom_id": "c" * 5_000, "method": "POST", "url": CHAT, "body": {"model": "small", "messages": []}}
    ),
)
"""The fault of the second line cannot be recorded."""


@dataclass
class Wish:
    """One batch as its client wants it. It is cancelled after some seconds, or when this many lines are answered."""

    number: int
    content: bytes
    inputs: list[InputLine]
    starts_after: float
    window_seconds: float
    is_fit: bool
    cancel_after: float | None
    cancel_at_count: int | None
    deletes_input_after: float | None
    deletes_outputs_after: float | None
    """Counted from its end."""
    pauses: tuple[tuple[float, float], ...]
    """How long the batch runs before a pause, and how long the pause lasts."""
    priority: int
    model: ModelId | None
    """Replaces the model that its lines name, as in a fan-out."""
    batch_id: BatchId = field(default=BatchId(""))


def wishes(random: Random) -> list[Wish]:
    return [_wish(random, number) for number in range(1, random.randint(1, 3) + 1)]


def _wish(random: Random, number: int) -> Wish:
    inputs: list[InputLine] = []
    model, is_fit = random.choice(MODELS), random.random() > 0.08
    poisoned = random.random() < 0.04
    count = random.choice((1, random.randint(1, 12), random.randint(1, LINES_MAX)))
    bad = random.randint(1, count)
    ending = random.choice((b"\n", b"\n", b"\r\n"))
    lines: list[bytes] = []
    while len(inputs) < count:
        if random.random() < 0.05:
            lines.append(b"")
            continue
        line = len(lines) + 1
        word = POISON if poisoned and len(inputs) + 1 == bad else _word(random)
        inputs.append(InputLine(line, f"{number}-{word}-{line}"))
        lines.append(_request(model, inputs[-1].custom_id))
    if not is_fit:
        lines.append(random.choice(UNFIT_LINES))
    content = (b"\xef\xbb\xbf" if random.random() < 0.1 else b"") + ending.join(lines)
    cancels = random.random() < 0.35
    return Wish(
        number,
        content,
        inputs,
        starts_after=random.random() * random.choice((0.0, 2.0)),
        window_seconds=random.choice((3600.0, 3600.0, 3600.0, random.random() * 6)),
        is_fit=is_fit,
        cancel_after=random.random() * random.choice((0.1, 1.0, 4.0)) if cancels else None,
        cancel_at_count=random.choice((None, count - 1, random.randrange(count))),
        deletes_input_after=random.random() if random.random() < 0.1 else None,
        deletes_outputs_after=random.random() * random.choice((0.1, 4.0)) if random.random() < 0.2 else None,
        pauses=tuple(
            (random.random() * random.choice((0.2, 1.0)), random.random() * random.choice((0.1, 3.0)))
            for _ in range(random.choice((0, 0, 0, 1, 3)))
        ),
        priority=random.choice((0, 0, random.randint(PRIORITY_MIN, PRIORITY_MAX))),
        model=random.choice((None, None, *MODELS)),
    )


def _word(random: Random) -> str:
    """Return a request id: most are plain, some as long and odd as possible, some get an answer no log accepts."""
    return random.choice(HOSTILE_WORDS) if random.random() < HOSTILE_SHARE else "line"


def _request(model: ModelId, custom_id: str) -> bytes:
    body = {"model": model, "messages": [{"role": "user", "content": "?"}], "user": custom_id}
    return msgspec.json.encode({"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body})


@dataclass
class Client:
    """`acknowledged` holds the sequences that a client was told; they must stay in the log forever."""

    log: SimulatedLog
    blobs: BlobStore
    reading: Reading
    random: Random
    now: Callable[[], datetime]
    before_cancel: Callable[[], None]
    acknowledged: dict[int, str] = field(default_factory=dict)

    async def want(self, wish: Wish) -> None:
        await asyncio.sleep(wish.starts_after)
        blob, file_id = f"files/{wish.number}", new_file_id(self.random.randbytes(16))
        self.blobs[blob] = wish.content
        await self.say(
            e.FileStored(
                file_id=file_id, owner=OWNER, purpose="batch", filename="in.jsonl", bytes=len(wish.content), sha256="",
                blob=blob, at=self.now(),
            )
        )  # fmt: skip
        wish.batch_id = new_batch_id(self.now(), self.random.randbytes(10))
        await self.say(
            e.BatchCreated(
                batch_id=wish.batch_id, owner=OWNER, input_file_id=file_id, endpoint=CHAT, completion_window="24h",
                expires_at=self.now() + timedelta(seconds=wish.window_seconds), at=self.now(),
                priority=wish.priority, model=wish.model,
            )
        )  # fmt: skip
        await asyncio.gather(self._steer(wish), self._give_up(wish, file_id))

    async def delete_outputs(self, wish: Wish) -> None:
        """Delete the files of the batch once it has ended."""
        if wish.deletes_outputs_after is None:
            return
        while (story := self.reading.batches.get(wish.batch_id)) is None or not (story.sealed or story.is_rejected):
            await asyncio.sleep(ENDED_POLL_SECONDS)
            self.reading.advance()
        await asyncio.sleep(wish.deletes_outputs_after)
        for kind in KINDS:
            if (file_id := output_file_id(wish.batch_id, kind)) in self.reading.files:
                await self.say(e.FileDeleted(file_id=file_id, owner=OWNER, at=self.now()))

    async def _steer(self, wish: Wish) -> None:
        for runs_seconds, pause_seconds in wish.pauses:
            await asyncio.sleep(runs_seconds)
            await self.say(e.BatchPaused(batch_id=wish.batch_id, at=self.now()))
            await self.say(e.BatchPriorityChanged(batch_id=wish.batch_id, priority=wish.priority, at=self.now()))
            await asyncio.sleep(pause_seconds)
            await self.say(e.BatchResumed(batch_id=wish.batch_id, at=self.now()))

    async def _give_up(self, wish: Wish, file_id: FileId) -> None:
        if wish.deletes_input_after is not None:
            await asyncio.sleep(wish.deletes_input_after)
            await self.say(e.FileDeleted(file_id=file_id, owner=OWNER, at=self.now()))
        if wish.cancel_after is not None:
            await self._cancel(wish, wish.cancel_after)

    async def _cancel(self, wish: Wish, after: float) -> None:
        if wish.cancel_at_count is None:
            await asyncio.sleep(after)
        else:
            await self._answered(wish, wish.cancel_at_count)
        self.before_cancel()
        await self.say(e.BatchCancelRequested(batch_id=wish.batch_id, at=self.now()))

    async def _answered(self, wish: Wish, count: int) -> None:
        """Wait until this many lines are answered or the batch has ended."""
        while True:
            self.reading.advance()
            story = self.reading.batches[wish.batch_id]
            if story.is_rejected or story.finalizing or len(story.outcomes) >= count:
                return
            await asyncio.sleep(POLL_SECONDS)

    async def say(self, event: e.AnyEvent) -> None:
        """Repeat until it is acknowledged: the gateway's client gets no answer before."""
        message = codec.encode(event, source="gateway")
        while True:
            try:
                sequence = await self.log.append(message)
            except (Unavailable, Full):
                continue
            self.acknowledged[sequence] = message.message_id
            return
