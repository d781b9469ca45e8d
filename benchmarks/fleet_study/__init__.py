"""Batches of the real stack on fleets of simulated engines: how fast, how evenly, and what a lost replica costs."""
