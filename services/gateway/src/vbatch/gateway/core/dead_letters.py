"""Dead letters as the API shows them, and which of them this service may send again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from vbatch.contracts.message import Recorded
from vbatch.gateway.core.event_log import kind_of
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.core.shapes import integer_between, integer_of_text

LETTERS_DEFAULT, LETTERS_MAX = 50, 100
SEQUENCE_MAX = 2**63 - 1
BODY_CHARS_MAX = 64 << 10
WRITER = "gateway"
NOT_OURS = "Another service writes this message, and the gateway has not its rights."


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that could not be used. `fault` says why sending it again does not help here; empty if it does."""

    sequence: int
    reason: str
    origin: str
    original_sequence: int
    buried_at: datetime
    subject: str
    headers: Mapping[str, str]
    body: bytes
    fault: str


class DeadLetterObject(BaseModel):
    """`origin` is log, work or write. `obstacle` says why the API cannot send it again; null when it can."""

    object: Literal["dead_letter"] = "dead_letter"
    id: int
    reason: str
    origin: str
    original_sequence: int
    buried_at: int
    subject: str
    obstacle: str | None


class DeadLetterList(BaseModel):
    """Oldest first; to get the next page, pass `last_id` as `after`."""

    object: Literal["list"] = "list"
    data: list[DeadLetterObject]
    last_id: int | None
    has_more: bool


class DeadLetterDetailObject(DeadLetterObject):
    """`body` is the beginning of the message's body, at most 65,536 characters."""

    headers: dict[str, str]
    body: str
    body_bytes: int


class DeadLetterSettledObject(BaseModel):
    """The dead letter was removed. `sent_as` is the sequence of the message that was sent again."""

    object: Literal["dead_letter.settled"] = "dead_letter.settled"
    id: int
    sent_as: int | None


def is_ours(record: Recorded) -> bool:
    """Whether the gateway writes this event, according to the catalogue; its key for the log cannot send any other
    event."""
    kind = kind_of(record)
    return kind is not None and WRITER in kind.writers


def parse_letters_params(query: Mapping[str, str]) -> tuple[int, int]:
    """Return the sequence after which the page begins, and its size. Raises Refusal."""
    after = integer_between(integer_of_text(query.get("after", "0"), "after"), "after", 0, SEQUENCE_MAX)
    limit = integer_of_text(query.get("limit", str(LETTERS_DEFAULT)), "limit")
    return after, integer_between(limit, "limit", 1, LETTERS_MAX)


def read_letter_id(text: str) -> int:
    """Parse the id in a path. Raises Refusal."""
    return integer_between(integer_of_text(text, "id"), "id", 1, SEQUENCE_MAX)


def no_such_letter(sequence: int) -> Refusal:
    return Refusal(Reason.NO_SUCH_DEAD_LETTER, f"No dead letter found with id '{sequence}'.", "id")


def not_resendable(letter: Letter) -> Refusal:
    remedy = f" On the machine of the server: `vbatch dead retry {letter.sequence}`."
    return Refusal(Reason.NOT_RESENDABLE, letter.fault + (remedy if letter.fault == NOT_OURS else ""), "id")


def letter_view(letter: Letter) -> DeadLetterObject:
    return DeadLetterObject(
        id=letter.sequence,
        reason=letter.reason,
        origin=letter.origin,
        original_sequence=letter.original_sequence,
        buried_at=int(letter.buried_at.timestamp()),
        subject=letter.subject,
        obstacle=letter.fault or None,
    )


def letter_detail_view(letter: Letter) -> DeadLetterDetailObject:
    return DeadLetterDetailObject(
        **letter_view(letter).model_dump(),
        headers=dict(letter.headers),
        body=letter.body.decode(errors="backslashreplace")[:BODY_CHARS_MAX],
        body_bytes=len(letter.body),
    )


def letters_view(letters: Sequence[Letter], limit: int) -> DeadLetterList:
    """Build the list; `letters` holds one more than `limit` if there are more."""
    shown = letters[:limit]
    return DeadLetterList(
        data=[letter_view(letter) for letter in shown],
        last_id=shown[-1].sequence if shown else None,
        has_more=len(letters) > limit,
    )
