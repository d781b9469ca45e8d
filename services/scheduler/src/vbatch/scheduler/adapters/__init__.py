"""The scheduler's adapters: the worker processes that read files, and metrics."""
