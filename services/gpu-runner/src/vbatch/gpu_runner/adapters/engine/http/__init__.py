"""The HTTP client of an engine."""
