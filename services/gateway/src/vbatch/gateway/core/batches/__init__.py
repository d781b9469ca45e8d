"""What may be asked of batches, and what each ask means."""
