"""The rules of the scheduler: whether a file can run, which requests run next, when a batch ends. Pure."""
