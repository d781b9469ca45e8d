"""The adapters of results: PostgreSQL, JSONL files, the blob store."""
