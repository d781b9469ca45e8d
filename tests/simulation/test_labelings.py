"""Every item is one task, and every annotation one judgement, whatever is killed, cut off or taken for dead."""

from __future__ import annotations

from functools import partial

import pytest

from tests.simulation.labelings import LabelingOutcome, LabelingRun, SimulatedLabelStudio
from tests.simulation.patching import all_replaced, replaced
from vbatch.contracts.ids import derived_judgement_id
from vbatch.labeler.core import annotations as annotation_rules, state
from vbatch.labeler.core.annotations import LabeledTask
from vbatch.labeler.flows import pulling
from vbatch.labeler.flows.pulling import Pulling

SEEDS = range(1, 9)

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def outcomes() -> dict[int, LabelingOutcome]:
    return {seed: LabelingRun(seed).result() for seed in SEEDS}


def test_nothing_is_lost_or_doubled_under_any_seed(outcomes: dict[int, LabelingOutcome]):
    assert {seed: str(each.violation) for seed, each in outcomes.items() if each.violation} == {}


def test_the_weather_is_bad_enough(outcomes: dict[int, LabelingOutcome]):
    assert sum(each.lives for each in outcomes.values()) > 5 * len(SEEDS)
    assert sum(each.judgements for each in outcomes.values()) > 20 * len(SEEDS)


def caught() -> str | None:
    """The first promise that a seed sees broken."""
    found = (LabelingRun(seed).result().violation for seed in SEEDS)
    return next((violation.check for violation in found if violation is not None), None)


def test_a_changed_annotation_that_keeps_its_id_is_caught():
    by_reference = partial(derived_judgement_id, "whatever its version")
    with all_replaced(
        (state, "judgement_id_of", lambda reference, _updated_at: by_reference(reference)),
        (annotation_rules, "judgement_id_of", lambda reference, _updated_at: by_reference(reference)),
    ):
        assert caught() == "every_judgement_counts_once"


def test_an_import_that_is_repeated_without_a_look_is_caught():
    async def sees_nothing(self: SimulatedLabelStudio, project_id: int, count: int) -> set[str]:
        return set()

    with all_replaced(
        (SimulatedLabelStudio, "newest_keys", sees_nothing), (pulling, "copies_to_remove", lambda _state, _same: [])
    ):
        assert caught() == "every_item_is_one_task"


def test_an_annotation_that_is_deleted_unseen_is_caught():
    async def looks_only_at_what_is_there(self: Pulling, task: LabeledTask) -> None:
        if task.annotations:
            await record(self, task)

    record = Pulling._record
    with replaced(Pulling, "_record", looks_only_at_what_is_there):
        assert caught() == "every_judgement_counts_once"
