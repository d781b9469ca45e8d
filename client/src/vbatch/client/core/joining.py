"""The columns that a join adds to each row of the input: the answer, or why there is none, and its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vbatch.client.core.answers import ANSWER_NAMES, Answer
from vbatch.client.core.values import Row

DEFAULT_COLUMN = "answer"
NO_ANSWER = "There is no answer to this row in the batch."


class ColumnTaken(ValueError):
    """The input already has a column with that name."""


@dataclass(frozen=True, slots=True)
class AnswerColumns:
    """The names of the added columns, which all begin with the name of the answer column."""

    answer: str = DEFAULT_COLUMN

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.answer + ending for ending in ANSWER_NAMES)

    def check(self, columns: Sequence[str]) -> None:
        """Check that no name is taken. Raises ColumnTaken."""
        taken = [name for name in self.names if name in columns]
        if taken:
            raise ColumnTaken(f"The input has a column {taken[0]!r} already; name the answer's column otherwise.")

    def values(self, answer: Answer | None) -> tuple[object, ...]:
        """Return one value for each of `names`. Only one of the answer and its error is set."""
        if answer is None:
            return (None, NO_ANSWER, None, None, None)
        usage = (answer.input_tokens, answer.output_tokens)
        return (answer.value, answer.error, answer.finish_reason, *usage)

    def joined(self, row: Row, answer: Answer | None) -> dict[str, object]:
        """Return the row with the added columns behind its own."""
        return {**row, **dict(zip(self.names, self.values(answer), strict=True))}
