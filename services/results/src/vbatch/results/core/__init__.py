"""The rules of the results: pure, no I/O, no clock."""
