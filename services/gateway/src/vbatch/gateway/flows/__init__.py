"""What the gateway does with an ask: load, decide, append, wait until it can be read."""
