"""Where the rules of results meet the world: one flow projects the log, the other seals what has ended."""
