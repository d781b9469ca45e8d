"""What a model says as a judge: its answers become judgements, each once, and answers that are not verdicts are
counted.

An item is one answer, or one pair. Its judge requests are on consecutive lines, so that the first `n` items are the
first lines of the judge batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.curation import JudgementSource, Vote
from vbatch.contracts.evaluations import SCORES, EvaluationKind, Preference, Target, targets_of
from vbatch.contracts.ids import BatchId, EvaluationId, JudgementId, OwnerId, derived_judgement_id
from vbatch.contracts.lines import OutputLine

CUT = "length"
"""The finish reason of an answer that reached its limit of tokens."""
ORDER_NOTE = "The verdict depends on the order in which the answers are shown."

ModelJudgement: TypeAlias = "e.JudgementRecorded | e.AnswersCompared"


class NoVerdict(StrEnum):
    """Why a judge request has no verdict."""

    UNANSWERED = "unanswered"
    CUT = "cut"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Scored:
    """A score of one answer."""

    target: Target
    score: int
    reason: str


@dataclass(frozen=True, slots=True)
class Preferred:
    """A preference between two answers, in the order in which they were shown."""

    shown: tuple[Target, Target]
    better: Preference
    reason: str


Verdict: TypeAlias = "Scored | Preferred"


@dataclass(frozen=True, slots=True)
class Tally:
    """How far an evaluation is recorded; the counts of `evaluation.recorded`."""

    done_count: int = 0
    judged_count: int = 0
    inconsistent_count: int = 0
    unanswered_count: int = 0
    cut_count: int = 0
    malformed_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DueEvaluation:
    """An evaluation whose verdicts are to be recorded. `is_gone` says that the answers of its judge were deleted."""

    id: EvaluationId
    owner: OwnerId
    kind: EvaluationKind
    judge_batch_id: BatchId
    judge: str
    item_count: int
    batch_sequence: int
    tally: Tally
    is_gone: bool


@dataclass(frozen=True, slots=True)
class Decided:
    """The judgements of some items, and the tally after them."""

    judgements: list[ModelJudgement]
    tally: Tally


class _Said(msgspec.Struct, frozen=True):
    """The JSON that `verdict_schema` asks for; one of the two decisions is set."""

    reason: str
    score: int | None = None
    better: Preference | None = None


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message
    finish_reason: str | None = None


class _Completion(msgspec.Struct, frozen=True):
    choices: list[_Choice]


_LINES = msgspec.json.Decoder(OutputLine)
_COMPLETIONS = msgspec.json.Decoder(_Completion)
_SAID = msgspec.json.Decoder(_Said)
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def lines_of(kind: EvaluationKind, first_item: int, last_item: int) -> tuple[int, int]:
    """The first and the last line of the judge requests of these items, both included; items are 0-based."""
    return first_item * kind.requests_each + 1, (last_item + 1) * kind.requests_each


def verdict_of(line: bytes, kind: EvaluationKind) -> Verdict | NoVerdict:
    """What an output line of a judge batch says."""
    try:
        output = _LINES.decode(line)
        if output.response is None or not 200 <= output.response.status_code < 300:
            return NoVerdict.UNANSWERED
        choice = _COMPLETIONS.decode(output.response.body).choices[0]
        targets = targets_of(output.custom_id)
    except (*UNREADABLE, IndexError, ValueError):
        return NoVerdict.MALFORMED
    try:
        said = _SAID.decode((choice.message.content or "").strip())
    except UNREADABLE:
        return NoVerdict.CUT if choice.finish_reason == CUT else NoVerdict.MALFORMED
    return _decision(said, targets, kind)


def decided(due: DueEvaluation, lines: Mapping[int, bytes], last_item: int, at: datetime) -> Decided:
    """The judgements of the items from the tally up to `last_item`; `lines` are the answers to their requests.

    For a pair, a verdict counts only if it is the same in both orders; two verdicts that contradict each other are a
    tie.
    """
    judgements: list[ModelJudgement] = []
    tally = due.tally
    for item in range(due.tally.done_count, last_item + 1):
        first, last = lines_of(due.kind, item, item)
        verdicts = [
            verdict_of(lines[line], due.kind) if line in lines else NoVerdict.UNANSWERED
            for line in range(first, last + 1)
        ]
        tally = _counted(tally, verdicts)
        judgement = _judgement(due, verdicts, first, at)
        if judgement is not None:
            judgements.append(judgement)
    return Decided(judgements, tally)


def recorded(due: DueEvaluation, tally: Tally, at: datetime) -> e.EvaluationRecorded:
    """The event that is recorded together with the judgements of some items."""
    return e.EvaluationRecorded(at=at, owner=due.owner, evaluation_id=due.id, **asdict(tally))


def _decision(said: _Said, targets: Sequence[Target], kind: EvaluationKind) -> Verdict | NoVerdict:
    if kind is EvaluationKind.ANSWERS and len(targets) == 1 and said.score in SCORES:
        return Scored(targets[0], said.score, said.reason)
    if kind is EvaluationKind.PAIRS and len(targets) == 2 and said.better is not None:
        return Preferred((targets[0], targets[1]), said.better, said.reason)
    return NoVerdict.MALFORMED


def _counted(tally: Tally, verdicts: Sequence[Verdict | NoVerdict]) -> Tally:
    """Count one item. If its requests have no verdict for several reasons, it counts under the first."""
    missing = next((verdict for verdict in verdicts if isinstance(verdict, NoVerdict)), None)
    return replace(
        tally,
        done_count=tally.done_count + 1,
        judged_count=tally.judged_count + (missing is None),
        inconsistent_count=tally.inconsistent_count + _is_inconsistent(verdicts),
        unanswered_count=tally.unanswered_count + (missing is NoVerdict.UNANSWERED),
        cut_count=tally.cut_count + (missing is NoVerdict.CUT),
        malformed_count=tally.malformed_count + (missing is NoVerdict.MALFORMED),
    )


def _is_inconsistent(verdicts: Sequence[Verdict | NoVerdict]) -> bool:
    votes = {vote_of(verdict) for verdict in verdicts if isinstance(verdict, Preferred)}
    return len(votes) > 1


def vote_of(preferred: Preferred) -> Vote:
    """The vote, where A is the answer that comes first by batch and line, whichever was shown first."""
    if preferred.better is Preference.TIE:
        return Vote.TIE
    winner = preferred.shown[preferred.better is Preference.SECOND]
    return Vote.A if winner == min(preferred.shown) else Vote.B


def _judgement(
    due: DueEvaluation, verdicts: Sequence[Verdict | NoVerdict], line: int, at: datetime
) -> ModelJudgement | None:
    """The judgement of an item; None if one of its requests has no verdict."""
    reference, judgement_id = f"{due.judge_batch_id}:{line}", derived_judgement_id(due.id, str(line))
    match verdicts:
        case [Scored() as scored]:
            return _score(due, scored, judgement_id, reference, at)
        case [Preferred() as one, Preferred() as other] if one.shown == other.shown[::-1]:
            return _comparison(due, (one, other), judgement_id, reference, at)
        case _:
            return None


def _score(
    due: DueEvaluation, scored: Scored, judgement_id: JudgementId, reference: str, at: datetime
) -> e.JudgementRecorded:
    return e.JudgementRecorded(
        at=at,
        owner=due.owner,
        judgement_id=judgement_id,
        batch_id=scored.target.batch_id,
        line=scored.target.line,
        judge=due.judge,
        source=JudgementSource.MODEL,
        score=float(scored.score),
        note=scored.reason,
        reference=reference,
    )


def _comparison(
    due: DueEvaluation, both: tuple[Preferred, Preferred], judgement_id: JudgementId, reference: str, at: datetime
) -> e.AnswersCompared:
    a, b = sorted(both[0].shown)
    votes = [vote_of(each) for each in both]
    is_same = votes[0] is votes[1]
    return e.AnswersCompared(
        at=at,
        owner=due.owner,
        judgement_id=judgement_id,
        batch_id=a.batch_id,
        line=a.line,
        other_batch_id=b.batch_id,
        other_line=b.line,
        vote=votes[0] if is_same else Vote.TIE,
        judge=due.judge,
        source=JudgementSource.MODEL,
        note=both[0].reason if is_same else ORDER_NOTE,
        reference=reference,
    )
