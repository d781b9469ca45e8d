"""What each page shows, decided from the objects of the API and the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vbatch.console.core import api_objects as api
from vbatch.console.core.bars import Axis, Bar, axis_of, bar_of
from vbatch.console.core.device_lanes import DeviceLane, Tried, lanes_of
from vbatch.console.core.wording import ends, span
from vbatch.contracts.lifecycle import BatchStatus

RECENT_SECONDS = 86_400
LOST_SECONDS = 3_600
UNFINISHED = "validating,in_progress,finalizing,cancelling"
ENDED = "completed,failed,expired,cancelled"


@dataclass(frozen=True, slots=True)
class Need:
    """Something that needs a person's attention: what, why, and what to do about it."""

    title: str
    words: str
    link: str
    action: str
    tone: str = "warn"


@dataclass(frozen=True, slots=True)
class Hub:
    """`queue` is None while the scheduler does not answer."""

    headline: str
    needs: tuple[Need, ...]
    server: api.Server
    runners: tuple[api.Runner, ...]
    unfinished: tuple[api.Batch, ...]
    ended: tuple[api.Batch, ...]
    has_more: bool
    as_of: int

    @property
    def is_new(self) -> bool:
        """No batch has been handed in yet."""
        return not self.unfinished and not self.ended


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One unfinished batch in running order. `swaps_to` names the model that must be loaded before it."""

    entry: api.QueueEntry
    batch: api.Batch | None
    bar: Bar | None
    swaps_to: str | None

    @property
    def name(self) -> str:
        return self.batch.name if self.batch is not None else self.entry.batch_id


@dataclass(frozen=True, slots=True)
class QueueView:
    """`queue` is None, with the reason in `trouble`, while the scheduler does not answer."""

    rows: tuple[QueueRow, ...]
    axis: Axis | None
    runners: tuple[api.Runner, ...]
    others: api.Others | None
    as_of: int
    trouble: str | None = None
    paused_at: int | None = None
    """When all work was paused; None if it is not."""
    pause_reason: str | None = None
    plans: tuple[DeviceLane, ...] = ()
    tried: Tried | None = None


@dataclass(frozen=True, slots=True)
class Milestone:
    """An event of a batch's life, with the time since the one before."""

    event: api.Event
    since: str


def hub_of(
    server: api.Server,
    runners: Sequence[api.Runner],
    unfinished: api.BatchPage,
    ended: Sequence[api.Batch],
    now: int,
) -> Hub:
    living = tuple(runner for runner in runners if _is_current(runner, now))
    in_order = tuple(sorted(unfinished.data, key=_running_order))
    return Hub(
        headline=headline(server, living, in_order, now),
        needs=tuple(needs(server, living, in_order, ended, now)),
        server=server,
        runners=living,
        unfinished=in_order,
        ended=tuple(ended),
        has_more=unfinished.has_more,
        as_of=now,
    )


def headline(server: api.Server, runners: Sequence[api.Runner], unfinished: Sequence[api.Batch], now: int) -> str:
    """Return the state of the server in one sentence."""
    if not server.is_ready:
        unwell = [service.name for service in server.services if not service.is_ready]
        return f"Not everything is ready: {', '.join(unwell)}."
    if not unfinished:
        return "Ready. Nothing waits."
    running = [batch for batch in unfinished if batch.queue_position == 0]
    doing = _doing(runners, running)
    return f"{doing} {_last_end(unfinished, now)}".strip()


def needs(
    server: api.Server,
    runners: Sequence[api.Runner],
    unfinished: Sequence[api.Batch],
    ended: Sequence[api.Batch],
    now: int,
) -> list[Need]:
    """Return what needs attention, the worst first."""
    found = [_unwell(service) for service in server.services if not service.is_ready]
    found += [_runner_need(runner) for runner in runners if runner.state in ("failed", "crashed", "stopped")]
    found += [_drain_need(runner) for runner in runners if runner.drain is not None and runner.state != "stopped"]
    if not runners:
        found.append(Need("No runner", "No gpu-runner serves: batches wait.", "/help#no-runner", "What to do", "bad"))
    found += [_window_need(batch) for batch in unfinished if batch.admission and not batch.admission.feasible]
    found += [_paused_need(batch) for batch in unfinished if batch.paused_at is not None and batch.is_steerable]
    found += [need for batch in ended if _is_recent(batch, now) and (need := _ended_need(batch)) is not None]
    return found


def queue_of(queue: api.Queue, batches: Mapping[str, api.Batch], runners: Sequence[api.Runner], now: int) -> QueueView:
    axis = axis_of(queue.data, queue.as_of)
    loaded = {runner.model for runner in runners if runner.model is not None}
    rows, before = [], loaded
    for entry in queue.data:
        batch = batches.get(entry.batch_id)
        bar = bar_of(entry, axis, batch.expires_at if batch else None) if axis is not None else None
        swaps_to = entry.model if entry.model is not None and bar is not None and entry.model not in before else None
        rows.append(QueueRow(entry, batch, bar, swaps_to))
        if entry.model is not None and bar is not None:
            before = {entry.model}
    living = tuple(runner for runner in runners if _is_current(runner, now))
    return QueueView(
        tuple(rows),
        axis,
        living,
        queue.others,
        queue.as_of,
        paused_at=queue.paused_at,
        pause_reason=queue.pause_reason,
        plans=lanes_of(queue.devices, axis) if axis is not None else (),
    )


def milestones(events: Sequence[api.Event]) -> list[Milestone]:
    """Return the milestones, oldest first, with the time between them, from events newest first."""
    in_order = list(reversed(events))
    found = []
    for index, event in enumerate(in_order):
        since = span(event.at - in_order[index - 1].at) + " later" if index else ""
        found.append(Milestone(event, since))
    return found


def series_sentence(series: api.Series) -> str:
    """Return the plot in words."""
    answered = [good + bad for good, bad in zip(series.completed, series.failed, strict=True)]
    if not any(answered):
        return "No answer has come yet."
    seconds = max(1, len(answered) * series.step_seconds)
    average, best = sum(answered) / seconds, max(answered) / series.step_seconds
    tokens = sum(series.output_tokens) / seconds
    return (
        f"{sum(answered):,} answers in {span(seconds)}: {average:,.1f} a second on average, {best:,.1f} at best, "
        f"with {tokens:,.0f} output tokens a second."
    )


def _is_current(runner: api.Runner, now: int) -> bool:
    """Whether the runner is still of interest; one that stopped long ago is not."""
    return runner.state != "stopped" or now - runner.since < LOST_SECONDS


def _running_order(batch: api.Batch) -> tuple[bool, int, int]:
    return batch.queue_position is None, batch.queue_position or 0, batch.created_at


def _doing(runners: Sequence[api.Runner], running: Sequence[api.Batch]) -> str:
    loading = [runner.model for runner in runners if runner.state == "loading" and runner.model]
    if loading:
        return f"Loading {', '.join(loading)}."
    models = sorted({batch.model for batch in running if batch.model})
    if models:
        count = "1 batch" if len(running) == 1 else f"{len(running)} batches"
        return f"Running {count} on {', '.join(models)}."
    return "Nothing runs yet."


def _last_end(unfinished: Sequence[api.Batch], now: int) -> str:
    etas = [batch.eta for batch in unfinished if batch.eta is not None]
    if not etas:
        return ""
    last = max(etas, key=lambda eta: eta.likely)
    return f"Everything is done {ends(last, now)}."


def _unwell(service: api.Service) -> Need:
    title = f"{service.name} is not ready" if service.state == "not_ready" else f"{service.name} does not answer"
    return Need(title, service.detail, "/help#service", "What to do", "bad")


def _runner_need(runner: api.Runner) -> Need:
    titles = {"failed": "could not load a model", "crashed": "lost its engine", "stopped": "has stopped"}
    return Need(f"{runner.id} {titles[runner.state]}", runner.detail, "/models", "See the models", "bad")


def _drain_need(runner: api.Runner) -> Need:
    why = f" ({runner.drain.reason})" if runner.drain is not None and runner.drain.reason else ""
    words = f"It takes no work until an administrator resumes it{why}."
    return Need(f"{runner.id} is drained", words, "/queue", "See the queue")


def _window_need(batch: api.Batch) -> Need:
    words = f"At the present pace it does not end within {batch.completion_window}; what has not run stays unanswered."
    return Need(f"{batch.name} may miss its window", words, f"/batches/{batch.id}", "Raise its priority")


def _paused_need(batch: api.Batch) -> Need:
    words = "Nothing of it starts until it is resumed. Its completion window keeps running."
    return Need(f"{batch.name} is paused", words, f"/batches/{batch.id}", "Resume it")


def _is_recent(batch: api.Batch, now: int) -> bool:
    return batch.ended_at is not None and now - batch.ended_at < RECENT_SECONDS


def _ended_need(batch: api.Batch) -> Need | None:
    counts = batch.request_counts
    link = f"/batches/{batch.id}"
    if batch.status is BatchStatus.FAILED:
        first = batch.errors.data[0].message if batch.errors and batch.errors.data else "The file is unfit."
        return Need(f"{batch.name} was rejected", first, link, "See every fault", "bad")
    if batch.status is BatchStatus.EXPIRED:
        words = f"{counts.total - counts.answered:,} of {counts.total:,} requests were not answered within the window."
        return Need(f"{batch.name} expired", words, link, "See what is there", "bad")
    if batch.status is BatchStatus.COMPLETED and counts.failed:
        words = f"{counts.failed:,} of {counts.total:,} requests have an error instead of an answer."
        return Need(f"{batch.name} has failures", words, f"{link}#errors", "See them by kind")
    return None
