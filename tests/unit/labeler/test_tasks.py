"""Tasks and labeling configs: every prediction and every value names a control that the config has."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.support.events import BATCH, LABELING
from vbatch.contracts.labeling import LabelingAnswer, LabelingItem, LabelingTemplate
from vbatch.labeler.core.tasks import labeling_of, tasks_of
from vbatch.labeler.core.templates import config_of

LABELS = ("good", 'not "so" good & bad')


def item(**more: object) -> LabelingItem:
    answer = LabelingAnswer(batch_id=BATCH, line=7, custom_id="row-7", model_version="m@1", text="Hello!")
    fields = {"messages": [{"role": "user", "content": "Hi"}], "answer": answer} | more
    return LabelingItem(**fields)  # type: ignore[arg-type]  # of a test


OTHER = LabelingAnswer(batch_id=BATCH, line=8, custom_id="row-8", model_version="n@2", text="Hey!")
ITEMS = {
    LabelingTemplate.CHAT: item(),
    LabelingTemplate.CLASSIFICATION: item(label="good"),
    LabelingTemplate.PAIRWISE: item(other=OTHER),
}


@pytest.mark.parametrize("template", LabelingTemplate)
def test_every_prediction_and_every_value_names_a_control_of_the_config(template: LabelingTemplate):
    config = ElementTree.fromstring(config_of(template, LABELS))
    [task] = tasks_of(LABELING, template, [ITEMS[template]], 3)
    controls = {each.get("name"): each for each in config.iter() if each.get("toName")}
    shown = {each.get("name"): each for each in config.iter() if each.get("value", "").startswith("$")}
    assert {each.get("toName") for each in controls.values()} <= set(shown)
    data = {name: getattr(task.data, name) for name in task.data.__struct_fields__}
    assert {each.get("value", "")[1:] for each in shown.values()} <= set(data)
    for region in task.predictions[0].result if task.predictions else []:
        assert controls[region.from_name].get("toName") == region.to_name


def test_the_choices_are_those_of_the_requests():
    config = ElementTree.fromstring(config_of(LabelingTemplate.CLASSIFICATION, LABELS))
    assert tuple(choice.get("value") for choice in config.iter("Choice")) == LABELS


def test_the_models_of_a_pair_are_not_named():
    [task] = tasks_of(LABELING, LabelingTemplate.PAIRWISE, [ITEMS[LabelingTemplate.PAIRWISE]], 0)
    assert (task.data.model, task.predictions, task.data.other_line) == ("", [], 8)


def test_a_key_names_its_labeling_and_its_place():
    tasks = tasks_of(LABELING, LabelingTemplate.CHAT, [item(), item()], 250)
    assert [task.key for task in tasks] == [f"{LABELING}:250", f"{LABELING}:251"]
    assert labeling_of(tasks[0].key) == LABELING
