import pytest

from vbatch.gateway.core.answer_lines import LineRecord
from vbatch.gateway.core.facets import FacetRecord, FacetValue, facets_view
from vbatch.gateway.core.line_filters import LineOrder, read_line_filters
from vbatch.gateway.core.line_table import read_export_format, table_heading, table_row
from vbatch.gateway.core.refusals import Refusal


def test_a_minus_sorts_the_greatest_first():
    filters = read_line_filters({"order": "-seconds", "is_json": "false", "chars_min": "7"})
    assert (filters.order, filters.is_descending) == (LineOrder.SECONDS, True)
    assert (filters.is_json, filters.chars_min, filters.chars_max) == (False, 7, None)


@pytest.mark.parametrize("query", [{"order": "name"}, {"is_json": "yes"}, {"chars_max": "-1"}, {"model": "m" * 300}])
def test_a_filter_out_of_bounds_is_refused(query: dict[str, str]):
    with pytest.raises(Refusal):
        read_line_filters(query)


def test_answers_are_counted_by_each_value():
    records = [
        FacetRecord("m", "stop", True, 5),
        FacetRecord("m", "length", False, 2),
        FacetRecord(None, None, None, 1),
    ]
    view = facets_view(records)
    assert view.models[0] == FacetValue(value="m", count=7)
    assert [each.value for each in view.finish_reasons] == ["stop", "length", None]
    assert (view.json_count, view.text_count) == (5, 2)


def test_a_table_has_both_texts_whole():
    request = b'{"body": {"messages": [{"role": "user", "content": "how, many?"}]}}'
    answer = b'{"response": {"body": {"choices": [{"message": {"content": "four\\nor five"}}]}}}'
    row = table_row(LineRecord(3, 0, 9, "a", 200, None, 5, 6, 0.25, model="m", finish_reason="stop"), request, answer)
    assert row.decode() == '3,a,200,,m,stop,5,6,0.25,"how, many?","four\nor five"\r\n'
    assert table_heading().startswith(b"line,custom_id,")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_no_cell_is_a_formula(start: str):
    row = table_row(LineRecord(3, 0, 9, f"{start}cmd", 200, None, 5, 6, 0.25), None, None)
    assert f"'{start}cmd" in row.decode()


def test_a_format_that_is_none_is_refused():
    with pytest.raises(Refusal):
        read_export_format({"format": "xlsx"})
