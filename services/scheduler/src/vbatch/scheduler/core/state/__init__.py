"""What the log says so far: batches, runners, slices, and what was measured of them."""
