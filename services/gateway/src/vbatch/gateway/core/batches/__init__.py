"""The requests about batches, and what each of them means."""
