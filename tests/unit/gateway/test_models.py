import pytest

from tests.support.events import NOON
from vbatch.contracts import events as e
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import NO_TRUST, EngineKind, ModelDefinition, Trust
from vbatch.gateway.core.model_file import BadModelFile, KnownModel, changes, fold, read_model_file

FILE = """
[[model]]
id = "org/m"
hub = "org/m"
arguments = { max-model-len = 4096 }

[[model]]
id = "toy"
engine = "simulated"
"""


def model(name: str, seqs: int = 8) -> ModelDefinition:
    return ModelDefinition(id=ModelId(name), engine=EngineKind.SIMULATED, max_num_seqs=seqs)


def test_models_are_read_with_their_arguments():
    first, second = read_model_file(FILE)
    assert (first.id, first.arguments, second.engine) == ("org/m", {"max-model-len": 4096}, EngineKind.SIMULATED)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[model]", "line 1"),
        ('[[model]]\nid = "a"\n', "model 'a': a vllm model needs exactly one of package, hub or folder"),
        ('[[model]]\nhub = "x"\n', "missing required field `id`"),
        ('[[model]]\nid = "a"\nhub = "x"\nspeed = 1\n', "unknown field `speed`"),
        ('[[models]]\nid = "a"\n', "unknown field `models`"),
        (
            '[[model]]\nid = "a"\nhub = "x"\narguments = { allowed_local_media_path = "/" }\n',
            "is not taken: requests may",
        ),
        ('[[model]]\nid = "a"\nhub = "x"\n[model.cpu]\narguments = { allowed-local-media-path = "/" }\n', "not taken"),
        ('[[model]]\nid = "a"\nhub = "x"\n[[model]]\nid = "a"\nhub = "y"\n', "stands there twice"),
    ],
)
def test_a_bad_file_says_what_is_wrong(text: str, words: str):
    with pytest.raises(BadModelFile, match=words.replace("`", ".")):
        read_model_file(text)


def test_what_bodies_may_make_the_engine_do_stands_in_the_arguments():
    [first, second] = read_model_file(
        '[[model]]\nid = "a"\nhub = "x"\narguments = { allowed_media_domains = "A.org b.org" }\n'
        "[model.cpu]\narguments = { trust-request-chat-template = true }\n"
        '[[model]]\nid = "b"\nhub = "x"\n'
    )
    assert first.trust == Trust(frozenset({"a.org", "b.org"}), has_chat_templates=True)
    assert second.trust == NO_TRUST


def test_only_what_differs_is_written():
    known = {ModelId("a"): KnownModel(model("a"), 3), ModelId("b"): KnownModel(model("b"), 4)}
    due = changes(known, [model("a"), model("b", seqs=9), model("c")], NOON)
    assert due == [
        (e.ModelRegistered(model=model("b", seqs=9), at=NOON), 4),
        (e.ModelRegistered(model=model("c"), at=NOON), 0),
    ]


def test_a_model_out_of_the_file_is_removed_once():
    known = {ModelId("a"): KnownModel(model("a"), 3), ModelId("gone"): KnownModel(None, 2)}
    assert changes(known, [], NOON) == [(e.ModelRemoved(model_id=ModelId("a"), at=NOON), 3)]


def test_once_written_nothing_is_left_to_write():
    wanted = [model("a"), model("b")]
    known: dict[ModelId, KnownModel] = {ModelId("old"): KnownModel(model("old"), 1)}
    for sequence, (event, _) in enumerate(changes(known, wanted, NOON), start=2):
        known = fold(known, event, sequence)
    assert changes(known, wanted, NOON) == []


@pytest.mark.parametrize(
    "text",
    [f'[[model]]\nid = "{"m" * 257}"\nhub = "m"\n', f'[[model]]\nid = "m"\nhub = "{"h" * 70_000}"\n'],
    ids=["its id", "all of it"],
)
def test_a_definition_that_is_too_long_for_its_event_is_refused(text: str):
    with pytest.raises(BadModelFile, match="bytes"):
        read_model_file(text)
