"""How well the judges of some batches agree: people with each other, and each model with the people.

A model is compared with the combined judgement of the people, which shows before anyone trusts it whether it judges as
they do. The bands are those of K. Krippendorff, "Content Analysis" (2004), 11.4: from 0.8 on reliable, from 0.667 on
tentative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from pydantic import BaseModel

from vbatch.contracts.curation import JudgementSource, Selection, Verdict, Vote
from vbatch.contracts.evaluations import EvaluationKind
from vbatch.gateway.core.curation.agreement import cohen_kappa, krippendorff_alpha, nominal
from vbatch.gateway.core.curation.consensus import answers_judged, majority, verdict_of, votes_of_pairs
from vbatch.gateway.core.curation.judgements import JudgementRecord

SHARED_MIN = 20
"""With fewer items that both judged, the figures are mostly chance."""
RELIABLE, TENTATIVE = 0.8, 0.667
PEOPLE_SHOWN_MAX = 20
"""The most people whose pairs are shown: those with the most judgements."""
PEOPLE = "people"

Values = Mapping[str, str]
"""The value that each judge gave one item."""


class AgreementFigure(BaseModel):
    """`shared_count` items were judged by both of two judges, or by several of many; `same_share` of them got the same
    value.

    `kappa` is Cohen's, for two judges; `alpha` is Krippendorff's, nominal. Both are null if nothing can be compared, or
    if every judge gave every item the same value. `sentence` says what the figures mean.
    """

    kind: EvaluationKind
    judges: list[str]
    shared_count: int
    same_share: float | None
    kappa: float | None
    alpha: float | None
    sentence: str


class AgreementObject(BaseModel):
    """`people` has one figure for verdicts and one for votes, `models` has one for each model against the people
    together, `pairs` has one for each pair of people."""

    object: Literal["agreement"] = "agreement"
    batch_ids: list[str]
    people: list[AgreementFigure]
    models: list[AgreementFigure]
    pairs: list[AgreementFigure]


@dataclass(frozen=True, slots=True)
class _Said:
    """Items of one kind, with the values of people and of models kept apart."""

    kind: EvaluationKind
    people: list[dict[str, str]]
    models: list[dict[str, str]]
    together: list[str | None]
    """The combined value of the people for each item; None if no person gave a value."""


def agreement_view(records: Sequence[JudgementRecord], selection: Selection) -> AgreementObject:
    """Return the agreement on the judgements of these batches that count."""
    models = {record.judge for record in records if record.source is JudgementSource.MODEL}
    kinds = [
        _apart(EvaluationKind.ANSWERS, _verdicts(records, selection), models, Verdict.UNSURE),
        _apart(EvaluationKind.PAIRS, _votes(records, selection), models, Vote.TIE),
    ]
    return AgreementObject(
        batch_ids=list(selection.batch_ids),
        people=[figure for said in kinds for figure in _of_people(said)],
        models=[figure for said in kinds for figure in _of_models(said)],
        pairs=[figure for said in kinds for figure in _of_pairs(said)],
    )


def sentence(shared_count: int, alpha: float | None) -> str:
    """Return the meaning of a figure in plain words."""
    if shared_count < SHARED_MIN:
        return f"Too few to tell: {shared_count} shared, {SHARED_MIN} are needed."
    if alpha is None:
        return "All say the same of everything: agreement beyond chance cannot be told."
    if alpha >= RELIABLE:
        return "Reliable."
    if alpha >= TENTATIVE:
        return "Good enough for tentative conclusions."
    return "Not reliable: they disagree too often."


def _verdicts(records: Sequence[JudgementRecord], selection: Selection) -> list[dict[str, str]]:
    return [
        {say.judge: str(verdict) for say in answer.says if (verdict := verdict_of(say, selection)) is not None}
        for answer in answers_judged(records, selection)
    ]


def _votes(records: Sequence[JudgementRecord], selection: Selection) -> list[dict[str, str]]:
    votes = votes_of_pairs(records, selection)
    return [{judge: str(vote) for judge, (vote, _) in of_pair.items()} for of_pair in votes.values()]


def _apart(kind: EvaluationKind, items: Sequence[Values], models: set[str], otherwise: str) -> _Said:
    people = [{judge: value for judge, value in item.items() if judge not in models} for item in items]
    return _Said(
        kind=kind,
        people=people,
        models=[{judge: value for judge, value in item.items() if judge in models} for item in items],
        together=[majority(list(item.values()), otherwise) if item else None for item in people],
    )


def _of_people(said: _Said) -> list[AgreementFigure]:
    judges = _judges(said.people)
    shared = [[item[judge] for judge in judges if judge in item] for item in said.people if len(item) > 1]
    return [_figure(said.kind, judges, shared)] if len(judges) > 1 else []


def _of_models(said: _Said) -> list[AgreementFigure]:
    return [
        _figure(
            said.kind,
            [model, PEOPLE],
            [
                [item[model], together]
                for item, together in zip(said.models, said.together, strict=True)
                if model in item and together is not None
            ],
        )
        for model in _judges(said.models)
    ]


def _of_pairs(said: _Said) -> list[AgreementFigure]:
    """Return the figure of each pair of people. With only two people there is none, because `people` has that figure
    already."""
    judges = _judges(said.people)
    if len(judges) <= 2:
        return []
    return [
        _figure(said.kind, [one, other], [[item[one], item[other]] for item in said.people if {one, other} <= {*item}])
        for one, other in combinations(judges[:PEOPLE_SHOWN_MAX], 2)
    ]


def _judges(items: Sequence[Values]) -> list[str]:
    """Return the judges, those with the most judgements first."""
    counts: dict[str, int] = {}
    for item in items:
        for judge in item:
            counts[judge] = counts.get(judge, 0) + 1
    return sorted(counts, key=lambda judge: (-counts[judge], judge))


def _figure(kind: EvaluationKind, judges: list[str], shared: Sequence[Sequence[str]]) -> AgreementFigure:
    alpha = krippendorff_alpha(shared, nominal)
    return AgreementFigure(
        kind=kind,
        judges=judges,
        shared_count=len(shared),
        same_share=sum(len(set(values)) == 1 for values in shared) / len(shared) if shared else None,
        kappa=cohen_kappa([(values[0], values[1]) for values in shared]) if len(judges) == 2 else None,
        alpha=alpha,
        sentence=sentence(len(shared), alpha),
    )
