"""What administrators see and change on the server as a whole: all work, dead letters, logs, settings, changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vbatch.contracts import events as e
from vbatch.contracts.codec import Unreadable, decode
from vbatch.contracts.subjects import LIMITS_EVENTS, OWNER_EVENTS
from vbatch.gateway.core.access import Caller
from vbatch.gateway.core.changes import CHANGES_MAX, Change, Changes
from vbatch.gateway.core.dead_letters import NOT_OURS, Letter, is_ours, no_such_letter, not_resendable
from vbatch.gateway.core.log_lines import LogsObject, logs_view
from vbatch.gateway.core.queue_pause import QueuePause
from vbatch.gateway.core.refusals import Reason, Refusal, unavailable
from vbatch.gateway.core.service_logs import ServiceLogsParams
from vbatch.gateway.core.settings_views import SettingsReport
from vbatch.gateway.flows.access_feed import AccessFeed
from vbatch.gateway.flows.logs import NOT_HERE
from vbatch.gateway.flows.writing import append
from vbatch.gateway.ports import Dependencies, ReportsSettings
from vbatch.journal.port import DeadLetter, DeadLetters, Rejected
from vbatch.journal.resending import again, fault_of


@dataclass(frozen=True, slots=True)
class Administration:
    """`dead` holds the dead letters of the server; `settings` reads what the other services report."""

    dependencies: Dependencies
    feed: AccessFeed
    dead: DeadLetters
    settings: ReportsSettings

    @property
    def queue_pause(self) -> QueuePause:
        return self.feed.queue_pause

    async def pause_queue(self, caller: Caller, reason: str) -> None:
        """Pause all work. Pausing again is not an error: the first pause stands. Raises Refusal."""
        if self.queue_pause.paused_at is None:
            await self._record(e.QueuePaused(at=self.dependencies.now(), by=caller.name, reason=reason))

    async def resume_queue(self, caller: Caller) -> None:
        """Resume all work. Raises Refusal."""
        if self.queue_pause.paused_at is not None:
            await self._record(e.QueueResumed(at=self.dependencies.now(), by=caller.name))

    async def letters(self, after: int, limit: int) -> list[Letter]:
        """Return the letters after `after`, oldest first; one more than `limit`, if there are more."""
        return [_letter(found) for found in await self.dead.list(after, limit + 1)]

    async def letter(self, sequence: int) -> Letter:
        """Return the letter. Raises Refusal."""
        return _letter(await self._found(sequence))

    async def retry(self, caller: Caller, sequence: int) -> int:
        """Send the message again, remove the dead letter, and return the sequence of the message. Raises Refusal."""
        found = await self._found(sequence)
        letter = _letter(found)
        if letter.fault:
            raise not_resendable(letter)
        stored = await self._sent_again(found)
        event = e.DeadLetterRetried(at=self.dependencies.now(), letter=sequence, subject=letter.subject, by=caller.name)
        await append(self.dependencies, event)
        await self.dead.drop(sequence)
        return stored

    async def _sent_again(self, found: DeadLetter) -> int:
        """Raises Refusal."""
        try:
            return await self.dependencies.log.append(again(found))
        except Rejected as error:
            raise Refusal(Reason.NOT_RESENDABLE, f"It cannot be sent again: {error}.", "id") from error

    async def drop(self, caller: Caller, sequence: int) -> None:
        """Remove the dead letter. Raises Refusal."""
        letter = await self.letter(sequence)
        event = e.DeadLetterDropped(at=self.dependencies.now(), letter=sequence, subject=letter.subject, by=caller.name)
        await append(self.dependencies, event)
        await self.dead.drop(sequence)

    async def logs(self, params: ServiceLogsParams) -> LogsObject:
        """Raises Refusal when no logs are kept here."""
        if self.dependencies.logs is None:
            raise Refusal(Reason.LOGS_ELSEWHERE, NOT_HERE)
        return logs_view(await self.dependencies.logs.newest(params))

    async def settings_of_all(self) -> list[SettingsReport]:
        """Return what each service reports of its own settings."""
        return await self.settings.reports()

    async def changes(self, limit: int) -> list[Change]:
        """Return the newest changes of limits and quotas, newest first. Events that cannot be read are left out."""
        subjects = (LIMITS_EVENTS, OWNER_EVENTS)
        changes = Changes(CHANGES_MAX)
        head = await self._head(subjects)
        if not head:
            return []
        async with self.dependencies.log.tail(0, subjects) as tail:
            async for records in tail:
                for record in records:
                    try:
                        changes.evolve(decode(record), record.sequence)
                    except Unreadable:
                        continue  # written by a newer version
                if records[-1].sequence >= head:
                    break
        return changes.newest_first()[:limit]

    async def _head(self, subjects: Sequence[str]) -> int:
        newest = [await self.dependencies.log.last(subject) for subject in subjects]
        return max((record.sequence for record in newest if record is not None), default=0)

    async def _found(self, sequence: int) -> DeadLetter:
        found = await self.dead.get(sequence)
        if found is None:
            raise no_such_letter(sequence)
        return found

    async def _record(self, event: e.Event) -> None:
        """Append the event. Raises Refusal when the write succeeded but this gateway has not read it back yet."""
        sequence = await append(self.dependencies, event)
        if not await self.feed.reaches(sequence, self.dependencies.own_write_seconds_max):
            raise unavailable("Your request was recorded, but is not in force yet.")


def _letter(found: DeadLetter) -> Letter:
    original = found.original
    return Letter(
        sequence=found.sequence,
        reason=found.reason,
        origin=found.origin,
        original_sequence=original.sequence,
        buried_at=original.recorded_at,
        subject=original.subject,
        headers=original.headers,
        body=original.body,
        fault=fault_of(found) or ("" if is_ours(original) else NOT_OURS),
    )
