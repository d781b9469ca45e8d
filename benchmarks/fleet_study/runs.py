"""A stack whose only model is a fleet, batches through it, and whether each request was answered once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import msgspec
from openai import OpenAI
from openai.types import Batch

from benchmarks import batches
from benchmarks.report import Figure, Figures
from tests.support.fleet import Server
from tests.support.stack import RunningStack, running_stack
from vbatch.contracts.endpoints import CHAT_COMPLETIONS

MODEL = "fleet"
BLOCK_BYTES = 1 << 20
REQUESTS_MAX = 200_000
PROMPT_WORDS = 40
TOKENS_MIN, TOKENS_MAX = 2, 38
"""The bounds of the answers' lengths, which a request's number spreads evenly."""


class _Named(msgspec.Struct):
    custom_id: str


@dataclass(frozen=True)
class Run:
    """One batch: `seconds` from its creation to its end; `lost` requests have no answer, `duplicated` counts answers
    that came again."""

    requests: int
    seconds: float
    lost: int
    duplicated: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True)
class Part:
    """What one part of the benchmark has measured, and the batches that it ran."""

    figures: Mapping[str, Figure | Figures]
    runs: Sequence[Run]


@contextmanager
def stack_before(made: Sequence[Server], concurrency: int, folder: Path) -> Iterator[RunningStack]:
    """Start the servers and a stack before them; the model's definition names this concurrency for each of them."""
    urls = json.dumps([server.start().url for server in made])
    models = folder / "models.toml"
    models.write_text(f'[[model]]\nid = "{MODEL}"\nengine = "http"\nbase_urls = {urls}\nmax_num_seqs = {concurrency}\n')
    with running_stack(models, batches.limits(REQUESTS_MAX)) as stack:
        yield stack


def run(stack: RunningStack, bodies: Sequence[bytes], disturb: Callable[[OpenAI, Batch], None] | None = None) -> Run:
    """Run a batch of these requests to its end; `disturb` is called once it was created."""
    with stack.client() as client:
        uploaded = client.files.create(file=("in.jsonl", lines_of(bodies)), purpose="batch")
        began = monotonic()
        batch = batches.create(client, uploaded.id)
        if disturb is not None:
            disturb(client, batch)
        batch = batches.wait(client, batch)
        seconds = monotonic() - began
        answers = _answers(client, batch.output_file_id)
    return Run(len(bodies), seconds, len(bodies) - len(answers), answers.total() - len(answers))


def wait_for_answers(client: OpenAI, batch: Batch, count: int) -> None:
    while (counts := client.batches.retrieve(batch.id).request_counts) is None or counts.completed < count:
        sleep(batches.POLL_SECONDS)


def lines_of(bodies: Sequence[bytes]) -> bytes:
    head = b'{"custom_id":"request-%d","method":"POST","url":"' + CHAT_COMPLETIONS.encode() + b'","body":'
    return b"".join(b"%s%s}\n" % (head % number, body) for number, body in enumerate(bodies))


def varied(requests: int) -> list[bytes]:
    """Requests without a shared prefix, whose answers differ in length."""
    return [_body(_prompt(number), _tokens(number)) for number in range(requests)]


def about(prompts: Sequence[str], tokens: int) -> list[bytes]:
    return [_body(prompt, tokens) for prompt in prompts]


def work_rate(server: Server) -> float:
    """The requests that a server answered a second, from the first that it started to the last that it answered."""
    answered = server.times("answered")
    return len(answered) / (answered[-1] - server.times("started")[0])


def _tokens(number: int) -> int:
    return TOKENS_MIN + number * 7919 % (TOKENS_MAX - TOKENS_MIN + 1)


def _prompt(number: int) -> str:
    return f"Number {number}: " + " ".join(f"w{number * word % 997}" for word in range(1, PROMPT_WORDS))


def _body(prompt: str, tokens: int) -> bytes:
    asked = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "max_tokens": tokens}
    return msgspec.json.encode(asked)


def _answers(client: OpenAI, file_id: str | None) -> Counter[str]:
    """How often each request stands in the output."""
    found: Counter[str] = Counter()
    if file_id is None:
        return found
    decoder, rest = msgspec.json.Decoder(_Named), b""
    with client.files.with_streaming_response.content(file_id) as response:
        for block in response.iter_bytes(BLOCK_BYTES):
            *whole, rest = (rest + block).split(b"\n")
            found.update(decoder.decode(line).custom_id for line in whole)
    return found
