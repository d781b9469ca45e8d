"""Which lines of a file represent all of them."""

from __future__ import annotations

from collections.abc import Sequence

from vbatch.contracts.dry_run import PlacedLine
from vbatch.scheduler.core.planning.plan import Plan


def tried_lines(plan: Plan, count: int) -> tuple[PlacedLine, ...]:
    """The first line, the longest, and others spread evenly over the file; each once, in file order."""
    if not len(plan):
        return ()
    longest = max(range(len(plan)), key=plan.lengths.__getitem__)
    wanted = [0, longest][:count]
    wanted += [index for index in _spread(len(plan), count + 1)[1:] if index not in wanted][: count - len(wanted)]
    return _placed(plan, sorted(set(wanted)))


def sampled_lines(plan: Plan, count: int) -> tuple[PlacedLine, ...]:
    """Lines spread evenly over the file: all of them if there are no more than `count`."""
    return _placed(plan, _spread(len(plan), count))


def _spread(total: int, count: int) -> list[int]:
    """Indices from the middle of each of `count` parts of equal size; from 0 on for few."""
    if total <= count:
        return list(range(total))
    return [int((part + 0.5) * total / count) for part in range(count)]


def _placed(plan: Plan, indices: Sequence[int]) -> tuple[PlacedLine, ...]:
    return tuple(
        PlacedLine(line=plan.lines[index], offset=plan.offsets[index], length=plan.lengths[index]) for index in indices
    )
