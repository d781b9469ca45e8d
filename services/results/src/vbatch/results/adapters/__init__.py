"""Where the results service touches the world: PostgreSQL, JSONL files, the blob store."""
