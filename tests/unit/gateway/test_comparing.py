import pytest

from vbatch.gateway.core.comparing import (
    ComparedLineObject,
    Only,
    compared_row,
    parse_compare_params,
    said,
    share_view,
)
from vbatch.gateway.core.refusals import Refusal


def test_batches_are_named_once_in_their_order():
    ask = parse_compare_params({"batches": "b, a,b", "only": "different", "after_line": "7"})
    assert (ask.batch_ids, ask.only, ask.after_line) == (("b", "a"), Only.DIFFERENT, 7)


@pytest.mark.parametrize(
    "query",
    [{}, {"batches": "a"}, {"batches": "a,a"}, {"batches": "a,b,c,d,e,f,g"}, {"batches": "a,b", "only": "best"}],
)
def test_what_makes_no_sense_is_refused(query: dict[str, str]):
    with pytest.raises(Refusal):
        parse_compare_params(query)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 10, 0.0, 0.278), (10, 10, 0.722, 1.0), (5, 10, 0.237, 0.763), (500, 1_000, 0.469, 0.531)],
)
def test_a_share_has_the_interval_of_wilson(count: int, of: int, low: float, high: float):
    view = share_view(count, of)
    assert view.low == pytest.approx(low, abs=0.001) and view.high == pytest.approx(high, abs=0.001)


def test_a_share_of_nothing_is_none():
    assert share_view(0, 0).share is None


def test_what_is_no_answer_says_nothing():
    assert said(None) is None and said(b"no json") is None and said(b"[1]") is None


def test_a_row_has_a_place_for_each_batch():
    line = ComparedLineObject(line=3, custom_id="=a", request="why?", answers=[None, None])
    assert compared_row(line) == b"3,'=a,why?,,,,\r\n"
