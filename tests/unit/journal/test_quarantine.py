"""What is set aside, after how many ends, and what outlives the process that noted it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from vbatch.chassis.crash_notes import NotesFile, tell_of_set_aside
from vbatch.contracts.message import Message
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.port import Origin, Rejected, Unavailable
from vbatch.journal.quarantine import BODY_BYTES_MAX, ENDS_MAX, PLACES_MAX, Cause, Quarantine, QuarantineMeans, place_of
from vbatch.journal.settings import JournalSettings


class Service:
    """One that is started again and again in the same folder."""

    def __init__(self, folder: Path) -> None:
        self.journal = MemoryJournal(JournalSettings("nats://x", "x"), lambda: datetime.now(UTC))
        self.told: list[tuple[Cause, str]] = []
        self._file = NotesFile(folder / "run" / "x.ends.json")

    def start(self) -> Quarantine:
        means = QuarantineMeans(self._file, lambda cause, place, _reason: self.told.append((cause, place)))
        return Quarantine(self.journal.dead, means, passing=(TimeoutError,))

    def ends_at(self, place: str, error: Exception) -> Quarantine:
        quarantine = self.start()
        with pytest.raises(type(error)), quarantine.watch(place):
            raise error
        return quarantine


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


def test_a_place_is_poison_after_so_many_ends_in_a_row(service: Service):
    for _ in range(ENDS_MAX):
        assert not service.start().is_poison("log:7")
        service.ends_at("log:7", ValueError("what it says"))
    found = service.start()
    assert found.is_poison("log:7") and not found.is_poison("log:8")
    assert "poison" in found.reason("log:7") and "what it says" in found.reason("log:7")


def test_an_end_elsewhere_begins_the_count_anew(service: Service):
    for place in ("log:7", "log:7", "log:9", "log:7", "log:7"):
        service.ends_at(place, ValueError("no"))
    assert not service.start().is_poison("log:7")


@pytest.mark.parametrize("error", [Unavailable("away"), TimeoutError()])
def test_trouble_says_nothing_about_a_place(service: Service, error: Exception):
    for _ in range(ENDS_MAX):
        service.ends_at("log:7", error)
    assert not service.start().is_poison("log:7")


async def test_a_poisonous_record_is_buried_once_with_its_reason(service: Service):
    await service.journal.log.append(Message("evt.batch.b.created", b"{}", "m1"))
    record = await service.journal.log.last("evt.>")
    assert record is not None
    for _ in range(ENDS_MAX):
        service.ends_at(place_of(record), ValueError("no"))
    for _ in range(2):
        await service.start().bury(record, place_of(record))
    [letter] = await service.journal.dead.list()
    assert letter.reason.startswith("poison: ended the service 3 times in a row: ValueError: no")
    assert service.told == [(Cause.POISON, place_of(record))]


async def test_a_refused_write_becomes_a_dead_letter_with_its_beginning(service: Service):
    message = Message("evt.batch.b.rejected", b"x" * 3_000_000, "b:batch.rejected")
    await service.start().refuse(message, Rejected("3000000 bytes, the limit is 2"))
    [letter] = await service.journal.dead.list()
    assert (letter.origin, letter.original.sequence) == (Origin.WRITE, 0)
    assert len(letter.original.body) == BODY_BYTES_MAX
    assert letter.reason == "refused: 3000000 bytes, the limit is 2"
    assert service.told == [(Cause.REFUSED, "b:batch.rejected")]


async def test_two_refused_writes_are_two_letters(service: Service):
    for name in ("m1", "m2", "m2"):
        await service.start().refuse(Message("evt.batch.b.x", b"{}", name), Rejected("no"))
    assert [letter.original.message_id for letter in await service.journal.dead.list()] == ["m1", "m2"]


async def test_what_cannot_even_be_buried_stops_nobody(service: Service):
    await service.start().refuse(Message("no subject at all", b"{}", "m1"), Rejected("not a subject"))
    assert service.told == [(Cause.REFUSED, "m1")]


@pytest.mark.parametrize("content", [b"", b"not json", b'{"place": 5}'])
def test_notes_that_cannot_be_read_are_begun_anew(tmp_path: Path, content: bytes):
    service = Service(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "x.ends.json").write_bytes(content)
    assert service.start().last_place == ""


def test_the_notes_are_bounded(service: Service):
    quarantine = Quarantine(service.journal.dead, QuarantineMeans())
    for number in range(PLACES_MAX + 1):
        for _ in range(ENDS_MAX):
            quarantine.note(f"log:{number}", ValueError("x" * 10_000))
    assert not quarantine.is_poison("log:0") and quarantine.is_poison(f"log:{PLACES_MAX}")


def test_what_is_set_aside_is_counted_by_its_cause():
    registry = CollectorRegistry()
    tell = tell_of_set_aside(registry)
    tell("poison", "log:7", "no")
    assert registry.get_sample_value("vbatch_set_aside_total", {"cause": "poison"}) == 1
