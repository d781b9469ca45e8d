"""Near-duplicates are in one group, and no group is in two splits."""

from __future__ import annotations

import random
from itertools import combinations

from hypothesis import given, settings, strategies as st

from vbatch.gateway.core.curation.near_duplicates import TOLERANCE, groups_of, shingles
from vbatch.gateway.core.curation.splitting import Split, splits_of

WORDS = [f"word{number}" for number in range(400)]
THRESHOLD = 0.8


def jaccard(one: str, other: str) -> float:
    left, right = set(shingles(one)), set(shingles(other))
    return len(left & right) / len(left | right)


def texts_with_variants(seed: int, count: int) -> list[str]:
    """Random texts, each followed by copies in which more and more words are replaced."""
    chance = random.Random(seed)
    texts = []
    for _ in range(count):
        words = chance.choices(WORDS, k=chance.randint(20, 120))
        for replaced in (0, 1, 2, 4, 8, 16):
            changed = list(words)
            for place in chance.sample(range(len(words)), k=replaced):
                changed[place] = chance.choice(WORDS)
            texts.append(" ".join(changed))
    chance.shuffle(texts)
    return texts


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_texts_as_similar_as_the_threshold_are_in_one_group(seed: int):
    texts = texts_with_variants(seed, 6)
    groups = groups_of(texts, THRESHOLD)
    for one, other in combinations(range(len(texts)), 2):
        if jaccard(texts[one], texts[other]) >= THRESHOLD:
            assert groups[one] == groups[other], (texts[one], texts[other])


def test_texts_that_say_different_things_are_not():
    chance = random.Random(1)
    texts = [" ".join(chance.choices(WORDS, k=40)) for _ in range(300)]
    assert groups_of(texts, THRESHOLD) == list(range(300))
    below = THRESHOLD - 2 * TOLERANCE
    assert max(jaccard(one, other) for one, other in combinations(texts, 2)) < below


def test_texts_that_differ_in_case_and_spaces_are_the_same():
    assert groups_of(["Say  Hello\n", "say hello", "Say goodbye"], THRESHOLD) == [0, 0, 2]


def test_a_template_around_different_questions_makes_no_duplicates():
    template = "You get a review of a customer. Say in one word whether it is positive, negative or neutral. "
    reviews = ["great shoes", "the parcel never came", "it is fine I guess", "never again"]
    texts = [f"{template}{review} Answer with one word, in lower case, without a full stop." for review in reviews]
    assert groups_of(texts, THRESHOLD) == [0, 1, 2, 3]


def test_texts_that_others_link_are_in_one_group():
    words = WORDS[:60]
    chain = [" ".join([*words[step * 4 :], *(f"new{number}" for number in range(step * 4))]) for step in range(5)]
    texts = [*chain, "something else entirely"]
    assert jaccard(chain[0], chain[4]) < THRESHOLD - TOLERANCE
    assert groups_of(texts, THRESHOLD) == [0, 0, 0, 0, 0, 5]


def test_nothing_has_no_groups():
    assert groups_of([], THRESHOLD) == []


@given(
    st.lists(st.text("ab ", max_size=6), min_size=1, max_size=60),
    st.integers(0, 99),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.sampled_from([0.0, 0.2, 0.5]),
)
def test_no_group_is_in_two_splits(texts: list[str], seed: int, validation: float, test: float):
    groups = groups_of(texts, THRESHOLD)
    splits = splits_of(groups, texts, validation_share=validation, test_share=test, seed=seed)
    for group in set(groups):
        assert len({split for split, of in zip(splits, groups, strict=True) if of == group}) == 1
    assert splits.count(Split.TEST) <= round(test * len(texts))
    assert splits.count(Split.VALIDATION) <= round(validation * len(texts))


def test_shares_are_kept_to_the_example_where_all_differ():
    texts = [f"text {number}" for number in range(1_000)]
    splits = splits_of(list(range(1_000)), texts, validation_share=0.05, test_share=0.1, seed=3)
    assert [splits.count(split) for split in Split] == [850, 50, 100]


def test_the_seed_draws_the_splits_and_the_same_seed_draws_the_same():
    texts = [f"text {number}" for number in range(100)]
    drawn = [splits_of(list(range(100)), texts, validation_share=0, test_share=0.5, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
