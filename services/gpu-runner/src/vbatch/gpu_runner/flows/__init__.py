"""The flows of the runner: orders in, requests through the engine, outcomes out."""
