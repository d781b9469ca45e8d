"""Sentences for people about every event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import assert_never

from vbatch.contracts import events as e
from vbatch.contracts.access_text import access_text
from vbatch.contracts.curation_text import curation_text, evaluation_text, labeling_text
from vbatch.contracts.durations import duration
from vbatch.contracts.operation_text import drain_text

DTYPE = "dtype"
"""The profile setting that people ask about first."""
FLAW_TEXTS: Mapping[e.Flaw, str] = {
    e.Flaw.EMPTY: "are empty",
    e.Flaw.CUT: "were cut by their token limit",
    e.Flaw.NOT_JSON: "are not the JSON that was asked for",
    e.Flaw.REFUSED: "are refusals",
    e.Flaw.REPEATING: "repeat themselves to the end",
}
"""Each value completes the phrase "the answers"."""


def event_text(event: e.AnyEvent) -> str:
    match event:
        case e.FileStored() | e.FileDeleted() | e.BatchArchived():
            return _file(event)
        case e.UploadEvent():
            return _upload(event)
        case e.BatchDispatched() | e.ChunkCompleted() | e.ChunkOutline() | e.SliceReturned() | e.BatchFirstAnswered():
            return _slice(event)
        case (
            e.RunnerLeased()
            | e.ModelDemanded()
            | e.ModelLoading()
            | e.ModelLoaded()
            | e.ModelFailed()
            | e.ProfileTuned()
        ):
            return _runner(event)
        case (
            e.EngineCrashed()
            | e.ProfileLowered()
            | e.RunnerStopped()
            | e.RunnerLost()
            | e.BatchQualityDropped()
            | e.BatchErrorShareExceeded()
        ):
            return _trouble(event)
        case e.SchedulerLeased() | e.ResultsLeased() | e.NotifierLeased() | e.LabelerLeased():
            return _lease(event)
        case e.ModelRegistered() | e.ModelRemoved() | e.DrainEvent():
            return _service(event)
        case (
            e.AccessEvent()
            | e.WebhookEvent()
            | e.OperationEvent()
            | e.CurationEvent()
            | e.LabelingEvent()
            | e.EvaluationEvent()
        ):
            return _beside_batches(event)
        case (
            e.BatchCreated()
            | e.BatchValidated()
            | e.BatchRejected()
            | e.BatchCancelRequested()
            | e.BatchFinalizing()
            | e.BatchPaused()
            | e.BatchResumed()
            | e.BatchPriorityChanged()
            | e.BatchSealed()
        ):
            return _batch(event)
        case _:
            assert_never(event)


def amount(count: int, noun: str) -> str:
    """Return `1 request` or `3 requests`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def size(count: int) -> str:
    """Return bytes with a decimal unit: `812 B`, `3.4 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def lines_of(lines: Sequence[int]) -> str:
    """Return `line 4`, `lines 1 to 64`, or `64 lines from 1 to 201` when some lines between them are missing."""
    if len(lines) == 1:
        return f"line {lines[0]}"
    low, high = min(lines, default=0), max(lines, default=0)
    is_dense = high - low + 1 == len(lines)
    return f"lines {low} to {high}" if is_dense else f"{len(lines)} lines from {low} to {high}"


def _beside_batches(
    event: e.AnyAccessEvent
    | e.AnyWebhookEvent
    | e.AnyOperationEvent
    | e.AnyCurationEvent
    | e.AnyLabelingEvent
    | e.AnyEvaluationEvent,
) -> str:
    if isinstance(event, e.LabelingEvent):
        return labeling_text(event)
    if isinstance(event, e.EvaluationEvent):
        return evaluation_text(event)
    return curation_text(event) if isinstance(event, e.CurationEvent) else access_text(event)


def _file(event: e.FileStored | e.FileDeleted | e.BatchArchived) -> str:
    match event:
        case e.FileStored():
            return f"{event.filename} stored as {event.file_id} ({size(event.bytes)}, {event.purpose})"
        case e.FileDeleted():
            return f"{event.file_id} deleted"
        case e.BatchArchived():
            return _archived(event)
        case _:
            assert_never(event)


def _upload(event: e.AnyUploadEvent) -> str:
    match event:
        case e.UploadCreated():
            return f"{event.filename} will come in parts ({size(event.bytes)}, {event.purpose})"
        case e.UploadPartAdded():
            return f"a part of {size(event.bytes)} as {event.part_id}"
        case e.UploadCompleted():
            return f"{len(event.part_ids)} parts have become {event.file_id}"
        case e.UploadCancelled():
            return "cancelled by its owner"
        case e.UploadPartsRemoved():
            return "the bytes of its parts are removed"
        case _:
            assert_never(event)


def _batch(event: e.StatusEvent | e.SteeringEvent) -> str:
    match event:
        case e.BatchCreated():
            window = duration((event.expires_at - event.at) / timedelta(seconds=1))
            model = f" with {event.model}" if event.model is not None else ""
            again = f", a retry of {event.retry_of}" if event.retry_of is not None else ""
            return f"for {event.endpoint}{model} on {event.input_file_id}, to be done within {window}{again}"
        case e.BatchCancelRequested():
            return "its owner asks to cancel it"
        case e.BatchPaused():
            return "paused: it starts no more requests"
        case e.BatchResumed():
            return "resumed by its owner"
        case e.BatchPriorityChanged():
            return f"priority set to {event.priority} by its owner"
        case e.BatchValidated():
            per_model = ", ".join(f"{candidate.requests:,} for {candidate.model}" for candidate in event.models)
            return f"the file is valid: {amount(event.total, 'request')} ({per_model})"
        case e.BatchRejected():
            return f"the file is rejected, {amount(len(event.faults), 'fault')}: {_first_fault(event.faults)}"
        case e.BatchFinalizing():
            never_ran = f", {amount(event.never_ran_count, 'line')} never ran" if event.never_ran_count else ""
            return f"counting is over: {event.ending}{never_ran}"
        case e.BatchSealed():
            return _sealed(event)
        case _:
            assert_never(event)


def _quality(event: e.QualityEvent) -> str:
    match event:
        case e.BatchQualityDropped():
            share = f"{event.count / max(1, event.answers):.0%} of {amount(event.answers, 'answer')}"
            found = f"{share} {FLAW_TEXTS[event.flaw]}"
        case e.BatchErrorShareExceeded():
            found = f"{event.failed / max(1, event.answered):.0%} of {amount(event.answered, 'request')} failed so far"
        case _:
            assert_never(event)
    return f"{found}; the threshold is {event.share_max:.0%}"


def _archived(event: e.BatchArchived) -> str:
    erased = f", without the answers of its {' and '.join(event.erased)} file" if event.erased else ""
    return f"{amount(event.outcome_count, 'outcome')} moved to {event.blob} ({size(event.bytes)}){erased}"


def _first_fault(faults: Sequence[e.BatchFault]) -> str:
    if not faults:
        return "no reason given"
    where = f"line {faults[0].line}: " if faults[0].line else ""
    return where + faults[0].message


def _sealed(event: e.BatchSealed) -> str:
    counts = event.counts
    missing = counts.total - counts.completed - counts.failed
    never_ran = f", {missing:,} never ran" if missing else ""
    tokens = event.usage.input_tokens + event.usage.output_tokens
    return f"{counts.completed:,} of {counts.total:,} answered, {counts.failed:,} failed{never_ran}; {tokens:,} tokens"


def _slice(event: e.SliceEvent | e.BatchFirstAnswered) -> str:
    match event:
        case e.BatchFirstAnswered():
            return "its first answer is recorded"
        case e.BatchDispatched():
            again = f", attempt {event.attempt}" if event.attempt > 1 else ""
            return f"{lines_of(event.lines)} to {event.runner_id} on {event.model}{again}: {event.reason}"
        case e.ChunkCompleted() | e.ChunkOutline():
            failed = sum(not outcome.is_success for outcome in event.outcomes)
            unwell = f", {failed} of them failed" if failed else ""
            return f"{amount(len(event.outcomes), 'outcome')} of {event.slice_id} recorded{unwell}"
        case e.SliceReturned():
            why = f" ({event.detail})" if event.detail else ""
            return f"{event.runner_id} gives back {lines_of(event.lines)}: {event.reason}{why}"
        case _:
            assert_never(event)


def _runner(
    event: e.RunnerLeased | e.ModelDemanded | e.ModelLoading | e.ModelLoaded | e.ModelFailed | e.ProfileTuned,
) -> str:
    match event:
        case e.RunnerLeased():
            device = f"{event.device} with {size(event.memory_bytes)}"
            return f"{event.runner_id} took its device, {device} (process {event.pid})"
        case e.ModelDemanded():
            return f"{event.runner_id} is to load {event.model}: {event.reason}"
        case e.ModelLoading():
            return f"{event.runner_id} loads {event.model}{_first_choice(event.profile)}"
        case e.ModelLoaded():
            return f"{event.model} is ready after {duration(event.seconds)}, {event.window} requests at once"
        case e.ModelFailed():
            return f"{event.model} could not be loaded: {event.detail}"
        case e.ProfileTuned():
            return _tuned(event)
        case _:
            assert_never(event)


def _tuned(event: e.ProfileTuned) -> str:
    """`small was measured while gpu0 was idle: float32, 6.5 instead of 1.1 requests/s, from its next load on`."""
    measured = f"{event.model} was measured while {event.runner_id} was idle"
    if not event.changes:
        return f"{measured}: nothing is faster than its {event.rate_before:.1f} requests/s"
    changes = ", ".join(f"{setting.name} {setting.value}" for setting in event.changes)
    rates = f"{event.rate:.1f} instead of {event.rate_before:.1f} requests/s"
    return f"{measured}: {changes} gives {rates}, from its next load on"


def _first_choice(profile: Sequence[e.ProfileSetting]) -> str:
    """Return ` in float32: this processor emulates bfloat16`; empty if no data type was chosen."""
    dtype = next((setting for setting in profile if setting.name == DTYPE and setting.value != "auto"), None)
    return f" in {dtype.value}: {dtype.reason}" if dtype else ""


def _trouble(
    event: e.EngineCrashed | e.ProfileLowered | e.RunnerStopped | e.RunnerLost | e.QualityEvent,
) -> str:
    match event:
        case e.BatchQualityDropped() | e.BatchErrorShareExceeded():
            return _quality(event)
        case e.EngineCrashed():
            inside = amount(event.suspect_count, "request")
            return f"the engine of {event.model} died with {inside} inside: {event.detail}"
        case e.ProfileLowered():
            step = f"{event.argument} goes from {event.before} to {event.after}"
            return f"{event.model} ran out of {event.shortage} memory: {step}"
        case e.RunnerStopped():
            return f"{event.runner_id} stopped: {event.reason}"
        case e.RunnerLost():
            return f"{event.runner_id} is lost: nothing heard of it for {duration(event.silent_seconds)}"
        case _:
            assert_never(event)


def _lease(event: e.SchedulerLeased | e.ResultsLeased | e.NotifierLeased | e.LabelerLeased) -> str:
    match event:
        case e.SchedulerLeased():
            return f"the scheduler is process {event.pid}"
        case e.ResultsLeased():
            return f"results is process {event.pid}"
        case e.NotifierLeased():
            return f"the notifier is process {event.pid}"
        case e.LabelerLeased():
            return f"the labeler is process {event.pid}"


def _service(event: e.ModelRegistered | e.ModelRemoved | e.AnyDrainEvent) -> str:
    match event:
        case e.DrainEvent():
            return drain_text(event)
        case e.ModelRegistered():
            return f"{event.model.id} can be used (engine {event.model.engine})"
        case e.ModelRemoved():
            return f"{event.model_id} can no longer be used"
        case _:
            assert_never(event)
