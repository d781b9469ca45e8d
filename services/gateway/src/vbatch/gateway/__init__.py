"""The HTTP API: files, batches, models and events."""
