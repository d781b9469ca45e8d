"""Sentences for people about the events of judgements, data sets, labelings and evaluations.

They do not repeat the texts of judges.
"""

from __future__ import annotations

from typing import assert_never

from vbatch.contracts import events as e


def curation_text(event: e.AnyCurationEvent) -> str:
    match event:
        case e.JudgementRecorded():
            return f"{event.judge} judges line {event.line}: {_said(event)}"
        case e.AnswersCompared():
            other = f"line {event.other_line} of {event.other_batch_id}"
            return f"{event.judge} compares line {event.line} with {other}: {event.vote}"
        case e.JudgementWithdrawn():
            return f"{event.by} takes {event.judgement_id} back"
        case e.DatasetVersionCreated():
            held = f"{event.statistics.answers:,} answers and {event.statistics.pairs:,} pairs"
            return f"{event.by} made version {event.version} of the data set {event.name}: {held}"
        case e.DatasetVersionDeleted():
            return f"{event.by} deleted version {event.version} of the data set"
        case _:
            assert_never(event)


def labeling_text(event: e.AnyLabelingEvent) -> str:
    match event:
        case e.LabelingRequested():
            return f"{event.by} asks to have {event.item_count:,} items judged in Label Studio ({event.template})"
        case e.ProjectLinked():
            return f"the answers go to project {event.project_id} of Label Studio"
        case e.TasksPushed():
            return f"Label Studio has {event.pushed_count:,} tasks"
        case e.LabelingFailed():
            return f"Label Studio refuses it: {event.reason}"
        case _:
            assert_never(event)


def evaluation_text(event: e.AnyEvaluationEvent) -> str:
    match event:
        case e.EvaluationRequested():
            return f"{event.by} asks {event.judge} to judge {event.item_count:,} {event.kind} in {event.judge_batch_id}"
        case e.EvaluationRecorded():
            return f"{event.judged_count:,} verdicts of {event.done_count:,} items are recorded"
        case _:
            assert_never(event)


def _said(event: e.JudgementRecorded) -> str:
    parts = [
        str(event.verdict) if event.verdict else "",
        f"score {event.score:g}" if event.score is not None else "",
        f"tags {', '.join(event.tags)}" if event.tags else "",
        "with an edited answer" if event.edited is not None else "",
        "with a note" if event.note else "",
    ]
    return ", ".join(part for part in parts if part) or "nothing"
