"""What is due to whom, and when it is tried again. Knows no clock and no network."""
