"""The files of the study. Every round has its own texts, so that no prefix cache knows them from an earlier round."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

CHAT = "/v1/chat/completions"
WARM_UP_REQUESTS = 16
SHORT_ANSWER_TOKENS, CHAT_ANSWER_TOKENS, TEMPLATE_ANSWER_TOKENS = 16, 32, 4
TEMPLATE_BYTES, CHAT_BYTES = 2_048, 200
WORDS = (
    "about above account action after against almost along among answer around because become before between "
    "building business certain change children city close company could country course during early enough every "
    "example family father figure follow friend general government great group happen history house however idea "
    "important include increase interest large later leave level little local member million minute moment money "
    "month morning mother national never night number office often order other paper people perhaps period person "
    "place point political possible power present president problem program provide public question rather reason "
    "report result right school second service several should small social something state still student study "
    "system teacher their there these thing think those though three through today together under until water week "
    "whether which while white within without woman world would write young"
).split()


@dataclass(frozen=True)
class Sizes:
    """How many requests each file has: documents by questions, templates by items, or plain requests.

    `shared` also gives the bytes of a document. The documents of a file exceed a cache of 1 GiB (46,600 tokens of
    SmolLM2-135M), because otherwise their order could gain nothing: they have 75,000 and 58,000 tokens. `batches` is
    the number of files that repeat the plain requests in parts, to measure the time between files.
    """

    shared: tuple[tuple[int, int, int], ...] = ((128, 4, 4_096), (48, 12, 8_448))
    templates: tuple[int, int] = (120, 4)
    plain: int = 512
    batches: int = 4


@dataclass(frozen=True)
class Workload:
    """`lines` is the order of the file, `by_hand` that of an engineer who knows the documents.

    The lines are split over `files` consecutive files; `is_watched` says whether the engine is watched meanwhile.
    """

    name: str
    lines: tuple[bytes, ...]
    by_hand: tuple[bytes, ...]
    files: int = 1
    is_watched: bool = True

    def split(self) -> list[tuple[bytes, ...]]:
        size = -(-len(self.lines) // self.files)
        return [self.lines[start : start + size] for start in range(0, len(self.lines), size)]

    def write(self, path: Path) -> Path:
        path.write_bytes(b"\n".join(self.lines) + b"\n")
        return path


def workloads(model: str, sizes: Sizes, seed: int) -> list[Workload]:
    shared = [_shared(model, *size, Random(seed)) for size in sizes.shared]
    plain = _plain(model, sizes.plain, Random(seed))
    many = _plain(model, sizes.plain, Random(f"batches {seed}"))
    batches = replace(many, name=f"batches_{sizes.batches}x{sizes.plain // sizes.batches}", files=sizes.batches)
    alone = replace(plain, is_watched=False)  # like `vllm bench throughput`
    return [*shared, _templates(model, *sizes.templates, Random(seed)), alone, batches]


def warm_up(model: str) -> Workload:
    """Requests that run before the measurement: the first steps of an engine are slower than any after."""
    return _plain(model, WARM_UP_REQUESTS, Random(0))


def _shared(model: str, documents: int, questions: int, document_bytes: int, random: Random) -> Workload:
    """Question-major: every document's first question, then every document's second one."""
    texts = [_text(random, document_bytes) for _ in range(documents)]
    asked = [f"Question {number}: what does it say about {random.choice(WORDS)}?" for number in range(questions)]
    lines = [[_line(model, f"d{d}-q{q}", f"{text}\n\n{asked[q]}", SHORT_ANSWER_TOKENS) for q in range(questions)]
             for d, text in enumerate(texts)]  # fmt: skip
    question_major = [each[q] for q in range(questions) for each in lines]
    return Workload(f"shared_{documents}x{questions}", tuple(question_major), tuple(_flat(lines)))


def _templates(model: str, templates: int, items: int, random: Random) -> Workload:
    """Each template with many items, all of them shuffled."""
    texts = [_text(random, TEMPLATE_BYTES) for _ in range(templates)]
    lines = [[_line(model, f"t{t}-i{i}", f"{text}\n\nItem: {_text(random, 40)}", TEMPLATE_ANSWER_TOKENS)
              for i in range(items)] for t, text in enumerate(texts)]  # fmt: skip
    grouped = tuple(_flat(lines))
    return Workload(f"templates_{templates}x{items}", tuple(random.sample(grouped, len(grouped))), grouped)


def _plain(model: str, requests: int, random: Random) -> Workload:
    lines = tuple(
        _line(model, f"r{number}", _text(random, CHAT_BYTES), CHAT_ANSWER_TOKENS, temperature=1.0)
        for number in range(requests)
    )
    return Workload(f"plain_{requests}x{CHAT_ANSWER_TOKENS}", lines, lines)


def _line(model: str, name: str, text: str, tokens: int, *, temperature: float = 0.0) -> bytes:
    """One request line. Every answer has exactly `tokens` tokens: engines are compared at equal work."""
    messages = [{"role": "user", "content": text}]
    limits = {"max_tokens": tokens, "ignore_eos": True, "temperature": temperature, "top_p": 1.0}
    body = {"model": model, "messages": messages, **limits}
    return json.dumps({"custom_id": name, "method": "POST", "url": CHAT, "body": body}).encode()


def _text(random: Random, size: int) -> str:
    words = [random.choice(WORDS)]
    length = len(words[0])
    while length < size:
        words.append(random.choice(WORDS))
        length += 1 + len(words[-1])
    return " ".join(words)


def _flat(groups: Sequence[Sequence[bytes]]) -> Iterator[bytes]:
    return (line for group in groups for line in group)
