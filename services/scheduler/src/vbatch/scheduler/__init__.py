"""Decides which request runs next: validates files, plans and dispatches batches, and ends them."""
