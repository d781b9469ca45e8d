"""The runner at work: orders in, requests through the engine, outcomes out."""
