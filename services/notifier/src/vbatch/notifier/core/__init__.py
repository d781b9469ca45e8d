"""Which deliveries are due, and when they are tried again. Pure: no clock, no network."""
