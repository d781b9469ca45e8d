"""Which request runs next: validates, plans, dispatches, ends batches."""
