from vbatch.console.core import reading_objects as reading
from vbatch.console.core.timeline_view import lanes_of, state_rows, steps_of

STATE = reading.State(
    7, 150.0, "dispatched", "a slice", "in_progress", False, 5, 1_000, 3, 1, 40, 2, 0, ("slices_out",)
)


def timeline(*spans: reading.Span, marks: tuple[reading.Mark, ...] = (), steps: tuple[int, ...] = (5, 7, 9)):
    return reading.Timeline(100.0, 200.0, False, spans, marks, steps, STATE)


def test_lanes_begin_with_the_batch_and_bars_lie_where_their_time_was():
    told = timeline(
        reading.Span("gpu0", "running", "m", 150.0, None, 7),
        reading.Span("batch", "validating", "checked", 100.0, 110.0, 5),
    )
    lanes = lanes_of(told).lanes
    assert [lane.name for lane in lanes] == ["batch", "gpu0"]
    assert (lanes[0].bars[0].x, lanes[0].bars[0].width) == (0.0, 10.0)
    assert (lanes[1].bars[0].x, lanes[1].bars[0].width) == (50.0, 50.0)
    assert lanes[1].bars[0].words.endswith("so far")


def test_what_is_too_short_to_be_seen_is_widened_and_stays_inside():
    [lane] = lanes_of(timeline(reading.Span("batch", "sealing", "s", 200.0, 200.0, 9))).lanes
    assert lane.bars[0].width > 0 and lane.bars[0].x + lane.bars[0].width <= 100


def test_trouble_is_marked_as_such():
    marks = (reading.Mark(120.0, "engine crashed", "x", 6), reading.Mark(130.0, "validated", "y", 6))
    assert [mark.is_trouble for mark in lanes_of(timeline(marks=marks)).marks] == [True, False]


def test_a_state_has_its_neighbours_among_the_events():
    steps = steps_of(timeline())
    assert (steps.index, steps.earlier, steps.later) == (1, 5, 9)
    between = steps_of(timeline(steps=(5, 9)))
    assert (between.index, between.earlier, between.later) == (0, 5, 9)


def test_what_an_event_changed_is_marked_in_the_state():
    rows = {row.words: row for row in state_rows(STATE)}
    assert rows["Status"].value == "in progress" and rows["Requests"].value == "1,000"
    assert [words for words, row in rows.items() if row.is_changed] == ["Slices dispatched, not returned"]
