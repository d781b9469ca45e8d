"""What goes wrong with such a server, as questions with answers of this moment, and what to do about each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vbatch.console.core import admin_objects as admin, api_objects as api

LISTED_MAX = 5
"""At most this many names are given; of the others only the number."""
BAD_RUNNERS = {"failed": "could not load a model", "crashed": "lost its engine", "stopped": "has stopped"}


@dataclass(frozen=True, slots=True)
class Check:
    """`remedy` says what to do if the answer is not as it should be; `link` leads to where it is done."""

    question: str
    answer: str
    is_good: bool = True
    remedy: str = ""
    link: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True)
class Administered:
    """What only administrators are told."""

    letters: int = 0
    strangers: Mapping[str, Sequence[admin.DeviceProcess]] = field(default_factory=dict)
    """The processes on each device that are not its runner's, where the device tells."""


@dataclass(frozen=True, slots=True)
class Situation:
    """`milliseconds` is what a read of the database took; None if it does not answer. `queue` is None while the
    scheduler does not answer, `administered` for visitors who may not administer."""

    server: api.Server
    milliseconds: int | None
    runners: Sequence[api.Runner]
    models: Sequence[api.Model]
    unfinished: Sequence[api.Batch]
    queue: api.Queue | None
    administered: Administered | None = None


def checks_of(found: Situation) -> list[Check]:
    checks = [_services(found), _database(found), _runners(found), _models(found), _work(found), _windows(found)]
    return [*checks, *_administered(found.administered)]


def _services(found: Situation) -> Check:
    question = "Is every service ready?"
    unwell = [service for service in found.server.services if not service.is_ready]
    if not unwell:
        return Check(question, f"Yes, all {len(found.server.services)}.")
    answer = " ".join(f"{service.name} is not: {service.detail}." for service in unwell[:LISTED_MAX])
    remedy = "A service that ends starts again by itself. `vbatch status` says what it waits for."
    link, action = (f"/admin/logs?service={unwell[0].name}", "Its log") if found.administered else ("", "")
    return Check(question, answer, False, remedy, link, action)


def _database(found: Situation) -> Check:
    question = "Does the database answer?"
    if found.milliseconds is not None:
        return Check(question, f"Yes, a list of batches took {found.milliseconds} ms.")
    remedy = "Answers are kept in the log meanwhile. `vbatch up` starts PostgreSQL if it does not run."
    return Check(question, "No. Pages that read it show an error.", False, remedy)


def _runners(found: Situation) -> Check:
    question = "Does a runner serve?"
    alive = [runner for runner in found.runners if runner.state != "stopped"]
    if not alive:
        return Check(question, "No: batches wait.", False, "`vbatch up` starts what is missing on its machine.")
    drained = [runner.id for runner in alive if runner.drain is not None]
    if drained:
        words = f"{_listed(drained)} takes no work: drained by an administrator."
        return Check(question, words, False, "Resume it if it is to work.", *_place(found))
    ill = [f"{runner.id} {BAD_RUNNERS[runner.state]}" for runner in alive if runner.state in BAD_RUNNERS]
    if ill:
        return Check(question, f"{_listed(ill)}.", False, "It tries again by itself.", "/models", "See the models")
    return Check(question, f"Yes: {_listed([runner.id for runner in alive])}.")


def _models(found: Situation) -> Check:
    question = "Did every model load that was tried?"
    failed = [model.id for model in found.models if _failed(model.loads)]
    if not failed:
        return Check(question, "Yes.")
    remedy = "The engine's last words say why. `vbatch tune MODEL` finds settings that fit the device."
    return Check(question, f"No: {_listed(failed)}.", False, remedy, "/models", "See why")


def _failed(loads: api.Loads) -> bool:
    return loads.failed_at is not None and loads.failed_at > (loads.loaded_at or 0)


def _work(found: Situation) -> Check:
    question = "May work run?"
    if found.queue is None:
        return Check(question, "Not known: the scheduler does not answer.", False, "It starts again by itself.")
    if found.queue.paused_at is not None:
        why = f": {found.queue.pause_reason}" if found.queue.pause_reason else ""
        remedy = "`vbatch resume --all` lets it run again."
        return Check(question, f"No, all work is paused{why}.", False, remedy, *_place(found))
    paused = [batch.name for batch in found.unfinished if batch.paused_at is not None]
    if paused:
        return Check(question, f"Yes, but {_listed(paused)} is paused.", False, "Resume it.", "/queue", "Queue")
    return Check(question, "Yes.")


def _windows(found: Situation) -> Check:
    question = "Will every batch end within its window?"
    late = [batch for batch in found.unfinished if batch.admission is not None and not batch.admission.feasible]
    if not late:
        return Check(question, "Yes, at the present pace.")
    remedy = "Raise its priority or pause another batch. Its page says what would help."
    answer = f"Not at the present pace: {_listed([batch.name for batch in late])}."
    return Check(question, answer, False, remedy, f"/batches/{late[0].id}", "Its page")


def _administered(told: Administered | None) -> Iterator[Check]:
    if told is None:
        return
    question = "Could every message be used?"
    if told.letters:
        remedy = "Each has its reason, and can be sent again."
        yield Check(question, "No: dead letters wait.", False, remedy, "/admin/dead-letters", "Show them")
    else:
        yield Check(question, "Yes.")
    for runner_id, strangers in told.strangers.items():
        yield _memory(runner_id, strangers)


def _memory(runner_id: str, strangers: Sequence[admin.DeviceProcess]) -> Check:
    question = f"Is the memory of {runner_id} free for its models?"
    if not strangers:
        return Check(question, "Yes: no other process holds any.")
    names = [f"{process.name} (process {process.pid})" for process in strangers]
    remedy = "End what you do not need there, or models may not fit."
    return Check(question, f"Not all of it: {_listed(names)} holds some.", False, remedy, "/admin", "How much")


def _place(found: Situation) -> tuple[str, str]:
    """Where an administrator acts; nothing for others."""
    return ("/admin", "Server") if found.administered is not None else ("", "")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED_MAX} more" if len(names) > LISTED_MAX else ""
    return ", ".join(names[:LISTED_MAX]) + more
