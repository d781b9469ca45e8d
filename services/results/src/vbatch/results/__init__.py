"""Projects the log into PostgreSQL and JSONL, seals output files."""
