"""The measures of agreement give the figures that their authors published."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from vbatch.gateway.core.curation.agreement import cohen_kappa, interval, krippendorff_alpha, nominal

OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
)
"""K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), part C: four observers, twelve units, gaps."""
UNITS = [[value for value in unit if value is not None] for unit in zip(*OBSERVERS, strict=True)]
KAPPA_TABLE = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15


@pytest.mark.parametrize(("distance", "published"), [(nominal, 0.743), (interval, 0.849)])
def test_alpha_is_the_published_one(distance, published: float):
    assert krippendorff_alpha(UNITS, distance) == pytest.approx(published, abs=0.0005)


def test_kappa_is_the_one_of_its_formula():
    assert cohen_kappa(KAPPA_TABLE) == pytest.approx(0.4)


def test_without_a_pair_of_values_there_is_no_agreement_to_speak_of():
    assert krippendorff_alpha([], nominal) is None
    assert krippendorff_alpha([["good"], ["bad"]], nominal) is None
    assert krippendorff_alpha([["good", "good"]], nominal) is None
    assert cohen_kappa([]) is None
    assert cohen_kappa([("good", "good")]) is None


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=2, max_size=5), min_size=1))
def test_alpha_does_not_depend_on_the_order_of_judges_or_items(units: list[list[str]]):
    turned = [unit[::-1] for unit in units[::-1]]
    first, second = krippendorff_alpha(units, nominal), krippendorff_alpha(turned, nominal)
    assert first == second or (first is not None and second is not None and first == pytest.approx(second))
    assert first is None or first <= 1 + 1e-9


@given(st.lists(st.sampled_from("ab"), min_size=2).filter(lambda values: len(set(values)) > 1))
def test_judges_who_always_agree_have_the_highest_agreement(values: list[str]):
    assert krippendorff_alpha([[value, value] for value in values], nominal) == pytest.approx(1)
    assert cohen_kappa([(value, value) for value in values]) == pytest.approx(1)
