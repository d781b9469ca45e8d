"""Where the answers that count stand, kept in few bytes and read in pages."""

from itertools import pairwise

from hypothesis import given, strategies as st

from vbatch.gateway.core.merged_answers import MergedPlace, MergedPlaces, runs

PLACES = st.lists(st.builds(MergedPlace, st.integers(0, 3), st.integers(0, 2**40), st.integers(1, 2**20)), max_size=30)


@given(PLACES, st.integers(1, 8), st.integers(1, 4))
def test_pages_hold_every_place_in_order_and_never_part_the_answers_to_one_request(
    places: list[MergedPlace], limit: int, answers_each: int
):
    merged = MergedPlaces()
    for number, place in enumerate(places):
        merged.add(place, (1, number // answers_each + 1))
    pages = list(merged.pages(limit))

    assert [place for page in pages for place in page] == places == [*places]
    ends = [sum(map(len, pages[: number + 1])) for number in range(len(pages))]
    assert all(end % answers_each == 0 or end == len(places) for end in ends)


@given(PLACES)
def test_neighbours_in_one_file_are_read_together(places: list[MergedPlace]):
    found = list(runs(places))
    assert [place for _, run in found for place in run] == places
    assert all({place.member for place in run} == {member} for member, run in found)
    assert all(first[0] != second[0] for first, second in pairwise(found))
