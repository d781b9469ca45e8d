"""Where the scheduler's rules meet the log: read, decide, append, order."""
