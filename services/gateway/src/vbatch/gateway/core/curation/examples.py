"""Examples: a prompt with a judged answer, or with a better and a worse one. They are the lines of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from vbatch.contracts.curation import PairOrigin, Selection, Verdict, Vote
from vbatch.contracts.previews import Json
from vbatch.gateway.core.curation.consensus import AnswerConsensus, PairConsensus
from vbatch.gateway.core.curation.judgements import AnswerKey
from vbatch.gateway.core.curation.texts import (
    ChatMessage,
    Unusable,
    answer_of,
    choices_of,
    edited_answer,
    prompt_key,
    prompt_of,
    request_of,
    user_text,
)


class Lineage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an example comes from. `event` holds sequences of the log, one for each judge. For a pair these fields
    describe the better answer; the `rejected_*` fields name the worse one if it is another answer."""

    batch: str
    line: int
    custom_id: str
    model: str
    judge: tuple[str, ...]
    event: tuple[int, ...]
    rejected_batch: str | None = None
    rejected_line: int | None = None
    rejected_model: str | None = None


class AnswerExample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="answer"):
    """A prompt with an answer that is good or bad; `is_edited` says that a judge wrote it."""

    split: str = ""
    prompt: list[msgspec.Raw]
    tools: list[Json] | None = None
    answer: ChatMessage
    is_good: bool
    is_edited: bool = False
    score: float | None = None
    tags: tuple[str, ...] = ()
    lineage: Lineage


class PairExample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="pair"):
    """A prompt with a better answer and a worse one."""

    split: str = ""
    prompt: list[msgspec.Raw]
    tools: list[Json] | None = None
    chosen: ChatMessage
    rejected: ChatMessage
    origin: PairOrigin
    lineage: Lineage


Example = AnswerExample | PairExample


@dataclass(frozen=True, slots=True)
class Answered:
    """The request and the answer of one line, as their bytes."""

    key: AnswerKey
    request: bytes
    answer: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """The parts of one line: what was asked, of which model, and what it answered."""

    key: AnswerKey
    custom_id: str
    model: str
    prompt: list[msgspec.Raw]
    tools: list[Json] | None
    answer: ChatMessage
    prompt_key: str
    label_field: str = ""
    choices: tuple[str, ...] = ()
    """The answers that the request allows, as the whole answer or as this field of its JSON; empty for free text."""


@dataclass(frozen=True)
class Examples:
    """`texts` holds the users' words of each example; `left_out` counts the answers that became no example, by
    reason."""

    examples: list[Example] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, example: Example) -> None:
        self.examples.append(example)
        self.texts.append(user_text(example.prompt))


def exchange_of(answered: Answered) -> Exchange:
    """Parse the request and the answer. Raises Unusable."""
    custom_id, body = request_of(answered.request)
    prompt, tools = prompt_of(body), body.tools or None
    answer = answer_of(answered.answer)
    label_field, choices = choices_of(body)
    return Exchange(
        key=answered.key,
        custom_id=custom_id,
        model=body.model,
        prompt=prompt,
        tools=tools,
        answer=answer,
        prompt_key=prompt_key(prompt, tools),
        label_field=label_field,
        choices=choices,
    )


def exchanges_of(answered: Iterable[Answered]) -> tuple[dict[AnswerKey, Exchange], Counter[str]]:
    """Return the exchanges that can become examples, and why the others cannot."""
    found: dict[AnswerKey, Exchange] = {}
    left_out: Counter[str] = Counter()
    for each in answered:
        try:
            found[each.key] = exchange_of(each)
        except Unusable as reason:
            left_out[str(reason)] += 1
    return found, left_out


def answers_needed(judged: Sequence[AnswerConsensus], compared: Sequence[PairConsensus]) -> list[AnswerKey]:
    """Return every answer whose texts the examples need, in the order of batches and lines."""
    keys = {each.answer for each in judged} | {key for pair in compared for key in (pair.a, pair.b)}
    return sorted(keys, key=lambda key: (key.batch_id, key.line))


def examples_of(
    judged: Sequence[AnswerConsensus],
    compared: Sequence[PairConsensus],
    exchanges: Mapping[AnswerKey, Exchange],
    selection: Selection,
) -> Examples:
    """Return answers first, then pairs by votes, by edits and by contrast, each in the order of batches and lines."""
    found = Examples()
    kept = [each for each in judged if each.answer in exchanges and _is_selected(each, selection, found.left_out)]
    for consensus in kept:
        _add_answer(found, exchanges[consensus.answer], consensus)
    origins = selection.pair_origins or tuple(PairOrigin)
    if PairOrigin.VOTE in origins:
        _add_votes(found, compared, exchanges)
    if PairOrigin.EDIT in origins:
        _add_edits(found, kept, exchanges)
    if PairOrigin.CONTRAST in origins:
        _add_contrasts(found, kept, exchanges)
    return found


def _is_selected(consensus: AnswerConsensus, selection: Selection, left_out: Counter[str]) -> bool:
    if selection.tags and not set(selection.tags) & set(consensus.tags):
        left_out["tags are others"] += 1
    elif selection.score_min is not None and (consensus.score is None or consensus.score < selection.score_min):
        left_out["score is too low"] += 1
    else:
        return True
    return False


def _add_answer(found: Examples, exchange: Exchange, consensus: AnswerConsensus) -> None:
    """Add an answer; an edited answer is a good one, whatever the verdict on the original."""
    edited = edited_answer(consensus.edited, exchange.answer)
    if edited is None and consensus.verdict in (None, Verdict.UNSURE):
        found.left_out["judges are unsure" if consensus.verdict else "no verdict"] += 1
        return
    found.add(
        AnswerExample(
            prompt=exchange.prompt,
            tools=exchange.tools,
            answer=edited or exchange.answer,
            is_good=edited is not None or consensus.verdict is Verdict.GOOD,
            is_edited=edited is not None,
            score=consensus.score,
            tags=consensus.tags,
            lineage=_lineage(exchange, consensus.judges, consensus.sequences),
        )
    )


def _add_votes(found: Examples, compared: Sequence[PairConsensus], exchanges: Mapping[AnswerKey, Exchange]) -> None:
    for pair in compared:
        a, b = exchanges.get(pair.a), exchanges.get(pair.b)
        if a is None or b is None:
            continue
        if (reason := _unusable(pair.vote, a, b)) is not None:
            found.left_out[reason] += 1
        else:
            chosen, rejected = (a, b) if pair.vote is Vote.A else (b, a)
            lineage = _pair_lineage(chosen, rejected, pair.judges, pair.sequences)
            found.add(_pair(chosen, chosen.answer, rejected.answer, PairOrigin.VOTE, lineage))


def _add_edits(found: Examples, judged: Sequence[AnswerConsensus], exchanges: Mapping[AnswerKey, Exchange]) -> None:
    for consensus in judged:
        exchange = exchanges[consensus.answer]
        edited = edited_answer(consensus.edited, exchange.answer)
        if edited is not None:
            lineage = _lineage(exchange, consensus.judges, consensus.sequences)
            found.add(_pair(exchange, edited, exchange.answer, PairOrigin.EDIT, lineage))


def _unusable(vote: Vote, a: Exchange, b: Exchange) -> str | None:
    """Return why a vote cannot become an example; None if it can."""
    if vote is Vote.TIE:
        return "pair is tied"
    if a.prompt_key != b.prompt_key:
        return "prompts of the pair differ"
    return "answers of the pair are the same" if a.answer == b.answer else None


def _add_contrasts(found: Examples, judged: Sequence[AnswerConsensus], exchanges: Mapping[AnswerKey, Exchange]) -> None:
    """For each prompt, add a pair of the first good answer and the first bad one, if they differ."""
    by_prompt: dict[str, list[AnswerConsensus]] = {}
    for consensus in judged:
        by_prompt.setdefault(exchanges[consensus.answer].prompt_key, []).append(consensus)
    for same in by_prompt.values():
        good = next((each for each in same if each.verdict is Verdict.GOOD), None)
        bad = next((each for each in same if each.verdict is Verdict.BAD), None)
        if good is None or bad is None:
            continue
        chosen, rejected = exchanges[good.answer], exchanges[bad.answer]
        if chosen.answer == rejected.answer:
            continue
        judges = tuple(dict.fromkeys((*good.judges, *bad.judges)))
        lineage = _pair_lineage(chosen, rejected, judges, (*good.sequences, *bad.sequences))
        found.add(_pair(chosen, chosen.answer, rejected.answer, PairOrigin.CONTRAST, lineage))


def _pair(
    exchange: Exchange, chosen: ChatMessage, rejected: ChatMessage, origin: PairOrigin, lineage: Lineage
) -> PairExample:
    return PairExample(
        prompt=exchange.prompt, tools=exchange.tools, chosen=chosen, rejected=rejected, origin=origin, lineage=lineage
    )


def _lineage(exchange: Exchange, judges: tuple[str, ...], sequences: tuple[int, ...]) -> Lineage:
    return Lineage(
        batch=exchange.key.batch_id,
        line=exchange.key.line,
        custom_id=exchange.custom_id,
        model=exchange.model,
        judge=judges,
        event=sequences,
    )


def _pair_lineage(chosen: Exchange, rejected: Exchange, judges: tuple[str, ...], sequences: tuple[int, ...]) -> Lineage:
    return msgspec.structs.replace(
        _lineage(chosen, judges, sequences),
        rejected_batch=rejected.key.batch_id,
        rejected_line=rejected.key.line,
        rejected_model=rejected.model,
    )
