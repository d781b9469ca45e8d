"""What the log says so far: batches, runners, slices, and measurements of them."""
