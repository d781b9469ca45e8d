"""Data sets: their params, how a version is made of judged answers, and its statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from vbatch.contracts.curation import (
    BATCHES_COUNT_MAX,
    CHOICES_COUNT_MAX,
    COUNTS_COUNT_MAX,
    DATASET_NAME_PATTERN,
    SCORE_MAX,
    SCORE_MIN,
    Count,
    DatasetStatistics,
    JudgementSource,
    PairOrigin,
    Selection,
)
from vbatch.contracts.ids import BatchId, DatasetId, is_batch_id
from vbatch.gateway.core.curation.agreement import krippendorff_alpha, nominal
from vbatch.gateway.core.curation.consensus import AnswerConsensus, verdict_of
from vbatch.gateway.core.curation.examples import AnswerExample, Example, Examples
from vbatch.gateway.core.curation.near_duplicates import groups_of
from vbatch.gateway.core.curation.splitting import splits_of
from vbatch.gateway.core.curation.values import number_between, one_of, words
from vbatch.gateway.core.pages import BYTES_MAX
from vbatch.gateway.core.refusals import Reason, Refusal, no_such_batch, parameter_missing
from vbatch.gateway.core.shapes import integer, integer_between, json_object, string

ANSWERS_MAX = 200_000
"""The judged answers that one version can be made of."""
VERSIONS_MAX = 10_000
SEED_MAX = 2**31 - 1
NEAR_DUPLICATE_MIN = 0.5
SHARE_MAX = 0.9
OTHERS = "others"
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class DatasetParams:
    """The params of a version to make. The log is read up to `sequence`; None means now."""

    name: str
    selection: Selection
    sequence: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRecord:
    """One version of a data set."""

    dataset_id: DatasetId
    name: str
    version: int
    made_by: str
    log_sequence: int
    selection: Selection
    statistics: DatasetStatistics
    blob: str
    bytes: int
    sha256: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Content:
    """The lines of a version, each with its line end, and the statistics about them."""

    lines: list[bytes]
    statistics: DatasetStatistics


def parse_dataset_params(raw: bytes) -> DatasetParams:
    """Parse the body. Raises Refusal."""
    body = json_object(raw, required=("name", "batch_ids"), optional=(*_SELECTION, "at_sequence"))
    sequence = body.get("at_sequence")
    return DatasetParams(
        name=dataset_name(string(body["name"], "name")),
        selection=_selection({key: value for key, value in body.items() if value is not None}),
        sequence=None
        if sequence is None
        else integer_between(integer(sequence, "at_sequence"), "at_sequence", 1, BYTES_MAX),
    )


def dataset_name(text: str) -> str:
    """Return the name, checked. Raises Refusal."""
    if not DATASET_NAME_PATTERN.fullmatch(text):
        words = "Expected up to 64 of a-z, 0-9, '.', '_' and '-', the first one a letter or a digit."
        raise Refusal(Reason.VALUE_INVALID, f"Invalid 'name': '{text}'. {words}", "name")
    return text


def version_of_path(text: str) -> int | None:
    """Return the version of a path; None for `latest`. Raises Refusal."""
    if text == "latest":
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:10]) <= VERSIONS_MAX:
        raise Refusal(Reason.NO_SUCH_DATASET, f"'{text}' is no version of a data set: give a number, or 'latest'.")
    return int(text[:10])


def no_such_dataset(name: str, version: int | None = None) -> Refusal:
    which = f"version {version} of the data set" if version is not None else "data set"
    return Refusal(Reason.NO_SUCH_DATASET, f"No {which} '{name}' found.", "name")


def nothing_selected(left_out: Counter[str]) -> Refusal:
    """Return a refusal that says why nothing was selected, if anything was judged at all."""
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in left_out.most_common())
    why = f"Everything judged was left out ({reasons})." if reasons else "None of its answers is judged."
    return Refusal(Reason.VALUE_INVALID, f"The data set would be empty. {why}", "batch_ids")


def content_of(found: Examples, judged: Sequence[AnswerConsensus], selection: Selection) -> Content:
    """Return the examples in their splits, and the statistics."""
    groups = groups_of(found.texts, selection.near_duplicate)
    shares = {"validation_share": selection.validation_share, "test_share": selection.test_share}
    splits = splits_of(groups, found.texts, **shares, seed=selection.seed)
    examples = [
        msgspec.structs.replace(example, split=split.value)
        for example, split in zip(found.examples, splits, strict=True)
    ]
    lines = [_ENCODER.encode(example) + b"\n" for example in examples]
    return Content(lines, _statistics(examples, groups, found, judged, selection))


def alpha_of(judged: Sequence[AnswerConsensus], selection: Selection) -> float | None:
    """Return Krippendorff's alpha of the verdicts."""
    units = [[verdict for say in each.says if (verdict := verdict_of(say, selection))] for each in judged]
    return krippendorff_alpha(units, nominal)


def _statistics(
    examples: Sequence[Example],
    groups: Sequence[int],
    found: Examples,
    judged: Sequence[AnswerConsensus],
    selection: Selection,
) -> DatasetStatistics:
    answers = [example for example in examples if isinstance(example, AnswerExample)]
    sizes = Counter(groups)
    return DatasetStatistics(
        answers=len(answers),
        pairs=len(examples) - len(answers),
        good=sum(example.is_good for example in answers),
        bad=sum(not example.is_good for example in answers),
        edited=sum(example.is_edited for example in answers),
        prompt_groups=len(sizes),
        largest_group=max(sizes.values(), default=0),
        characters=sum(len(example.answer.content or "") for example in answers),
        splits=_counts(Counter(example.split for example in examples)),
        models=_counts(Counter(example.lineage.model for example in examples)),
        judges=_counts(Counter(judge for example in examples for judge in example.lineage.judge)),
        left_out=_counts(found.left_out),
        agreement=alpha_of(judged, selection),
    )


def _counts(counter: Counter[str]) -> tuple[Count, ...]:
    """Return the counts, most frequent first; those beyond the bound are added up in one."""
    ordered = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    kept, rest = ordered[: COUNTS_COUNT_MAX - 1], ordered[COUNTS_COUNT_MAX - 1 :]
    others = [(OTHERS, sum(count for _, count in rest))] if rest else []
    return tuple(Count(name=name, count=count) for name, count in (*kept, *others))


_SELECTION = tuple(name for name in Selection.__struct_fields__ if name != "batch_ids")


def _selection(body: Mapping[str, object]) -> Selection:
    default = Selection(batch_ids=())
    selection = Selection(
        batch_ids=_batch_ids(body["batch_ids"]),
        judges=words(body.get("judges", []), "judges", CHOICES_COUNT_MAX),
        sources=tuple(one_of(each, tuple(JudgementSource), "sources") for each in _list(body, "sources")),
        tags=words(body.get("tags", []), "tags", CHOICES_COUNT_MAX),
        pair_origins=tuple(one_of(each, tuple(PairOrigin), "pair_origins") for each in _list(body, "pair_origins")),
        score_min=_score(body, "score_min") if "score_min" in body else None,
        good_score_min=_score(body, "good_score_min") if "good_score_min" in body else default.good_score_min,
        bad_score_max=_score(body, "bad_score_max") if "bad_score_max" in body else default.bad_score_max,
        validation_share=_share(body, "validation_share", default.validation_share),
        test_share=_share(body, "test_share", default.test_share),
        near_duplicate=number_between(
            body.get("near_duplicate", default.near_duplicate), "near_duplicate", NEAR_DUPLICATE_MIN, 1.0
        ),
        seed=integer_between(integer(body.get("seed", 0), "seed"), "seed", 0, SEED_MAX),
    )
    _must_leave_something(selection)
    return selection


def _must_leave_something(selection: Selection) -> None:
    """Raises Refusal."""
    if selection.validation_share + selection.test_share > SHARE_MAX:
        message = (
            f"'validation_share' and 'test_share' are more than {SHARE_MAX:g} together: nothing is left to train on."
        )
        raise Refusal(Reason.VALUE_INVALID, message, "test_share")
    if selection.bad_score_max >= selection.good_score_min:
        raise Refusal(Reason.VALUE_INVALID, "'bad_score_max' must be below 'good_score_min'.", "bad_score_max")


def _batch_ids(value: object) -> tuple[BatchId, ...]:
    ids = words(value, "batch_ids", BATCHES_COUNT_MAX)
    if not ids:
        raise parameter_missing("batch_ids")
    for batch_id in ids:
        if not is_batch_id(batch_id):
            raise no_such_batch(batch_id)
    return tuple(BatchId(batch_id) for batch_id in ids)


def _list(body: Mapping[str, object], name: str) -> tuple[str, ...]:
    return words(body.get(name, []), name, CHOICES_COUNT_MAX)


def _score(body: Mapping[str, object], name: str) -> float:
    return number_between(body[name], name, SCORE_MIN, SCORE_MAX)


def _share(body: Mapping[str, object], name: str, otherwise: float) -> float:
    return number_between(body.get(name, otherwise), name, 0.0, SHARE_MAX)
