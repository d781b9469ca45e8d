"""Where the rules of results meet the outside world: one flow projects the log, another seals what has ended."""
