"""What ended an engine, found in its log."""

from __future__ import annotations

from vbatch.gpu_runner.core.failure_cause import CAUSE_CHARS_MAX, cause_in

REFUSED = "ValueError: No common block size for 16 (CPU_ATTN: [MultipleOf(32)])."
FOLLOWED = "RuntimeError: Engine core initialization failed. See root cause above."
WORKER = "(Worker pid=19296) ERROR 11-28 10:17:21 [multiproc_executor.py:1063]"


def test_the_first_error_counts_and_not_what_followed_it():
    log = f"{WORKER} Traceback (most recent call last):\n{WORKER}     raise ValueError(\n{WORKER} {REFUSED}\n{FOLLOWED}"
    assert cause_in(log) == REFUSED


def test_a_traceback_of_python_itself_is_read_too():
    assert cause_in(f'Traceback (most recent call last):\n  File "a.py", line 1\n{REFUSED}\nbye') == REFUSED


def test_a_shortage_of_memory_counts_more_than_the_error_before_it():
    short = "torch.OutOfMemoryError: CUDA out of memory."
    assert cause_in(f"{REFUSED}\n{short}\n{FOLLOWED}") == short


def test_a_warning_that_quotes_an_error_ended_nothing():
    quoted = "(APIServer pid=1) WARNING 11-28 10:12:30 [a.py:1] no fast path: ModuleNotFoundError: No module named 'x'"
    assert cause_in(f"{quoted}\nall is well") == ""


def test_a_cause_is_told_in_bounded_length():
    assert len(cause_in("ValueError: " + "x" * 10_000)) == CAUSE_CHARS_MAX
