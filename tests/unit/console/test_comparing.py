from hypothesis import given, strategies as st

from vbatch.console.core.comparing import BATCHES_MAX, Part, differences, ids_asked, row_of, share_words
from vbatch.console.core.reading_objects import ComparedAnswer, ComparedLine, Share


def answer(text: str | None, *, agrees: bool = False) -> ComparedAnswer:
    return ComparedAnswer("b", True, 200, None, "stop", 3, 0.5, text, agrees)


def test_words_that_the_other_has_not_are_marked():
    assert differences("I drink cold tea.", "I drink hot tea.") == (
        Part("I drink ", False),
        Part("cold", True),
        Part(" tea.", False),
    )
    assert differences("same", "same") == (Part("same", False),)
    assert differences("new", "") == (Part("new", True),)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_character_of_an_answer_is_lost(text: str, other: str):
    assert "".join(part.text for part in differences(text, other)) == text


def test_a_long_answer_is_compared_by_its_beginning():
    text = "word " * 5_000
    assert "".join(part.text for part in differences(text, "other")) == text


def test_answers_that_agree_and_the_first_are_not_marked():
    row = row_of(ComparedLine(1, "a", "why?", (answer("yes"), answer("yes", agrees=True), answer("no"), None)))
    assert [[part.is_different for part in cell.parts] for cell in row.cells] == [[False], [False], [True], []]


def test_batches_come_from_the_address_and_from_the_form_each_once():
    assert ids_asked({"batches": "a,b"}, ["b", "c"]) == ["a", "b", "c"]
    assert len(ids_asked({"batches": ",".join(map(str, range(40)))})) == BATCHES_MAX


def test_a_share_is_said_with_its_interval():
    assert share_words(Share(83, 100, 0.83, 0.745, 0.891)) == "83 % (74 % to 89 %)"
    assert share_words(Share(0, 0, None, None, None)) == "nothing shared yet" and share_words(None) == "the reference"
