"""The HTTP edge: files, batches, models, events."""
