"""What people read of a dry run."""

from __future__ import annotations

from vbatch.cli.dry_run_text import DryRun, Estimate, Fault, Money, Range, TriedLine, dry_run_lines

NOW = 1_900_000_000.0
ANSWER = TriedLine(
    line=1, custom_id="a", status_code=200, seconds=1.25, body={"choices": [{"message": {"content": "Paris.\nYes."}}]}
)
ESTIMATE = Estimate(
    work_seconds=720.0,
    is_guess=False,
    input_tokens=Range(value=12_000, low=11_000, high=13_000),
    input_tokens_counted_lines=32,
    output_tokens=Range(value=5_000, low=1_000, high=9_000),
    ends_at=int(NOW) + 1_800,
    ends_at_earliest=int(NOW) + 1_200,
    ends_at_latest=int(NOW) + 2_400,
    money=Money(input=0.012, output=0.05),
)


def test_answers_come_first_and_then_what_all_of_them_would_cost():
    found = DryRun(is_fit=True, requests=400, model="small", answers=[ANSWER], estimate=ESTIMATE)
    assert list(dry_run_lines(found, NOW)) == [
        "line 1 (a), answered in 1.2 s:",
        "  Paris. Yes.",
        "",
        "All 400 requests on small would cost about:",
        "  12,000 tokens in (11,000 to 13,000, counted on 32 lines)",
        "  5,000 tokens out (1,000 to 9,000)",
        "  12 min of work on this device",
        "  an end in 30 min if you submit it now (20 min to 40 min, today's queue counted)",
        "  money: 0.0120 for input, 0.0500 for output",
        "Nothing was created.",
    ]


def test_a_file_that_cannot_become_a_batch_says_why():
    found = DryRun(is_fit=False, requests=0, faults=[Fault(message="Not JSON.", line=2)] * 12)
    lines = list(dry_run_lines(found, NOW))
    assert lines[:2] == ["The file cannot become a batch:", "  line 2: Not JSON."]
    assert lines[-1] == "  and 2 more"
